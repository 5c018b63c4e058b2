"""Arrow columns of any layout that can hold the values."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines.arrow_columns import check_rows, dense_columns, plain_batch, plain_types
from pipelines.datasets.tables import DataError
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, Sequence, Vector

ROWS = 3
SCHEMA = FeatureSchema(
    features=[Categorical("item"), Categorical("shop", dtype="int64"), Numeric("price"), Vector("text", dim=2)],
    sequences=[Sequence("seen", fields=[Categorical("item", table="item"), Categorical("age", dtype="int64")],
                        max_length=4)],
    labels=[Label("click")],
    group="user",
    group_dtype="string",
)  # fmt: skip
COLUMNS = {
    "item": ["a", None, "c"],
    "shop": [1, None, 3],
    "price": [1.5, None, 3.0],
    "text": [[1.0, 2.0], None, [3.0, 4.0]],
    "seen_item": [["a", "b"], None, ["c", None]],
    "seen_age": [[1, 2], [], [3, 4]],
    "click": [1, 0, 1],
    "user": ["u", "v", "u"],
}


def read(**columns):
    """The raw batch that the columns give, in place of those above."""
    arrays = {name: columns.get(name, values) for name, values in COLUMNS.items()}
    batch = pa.RecordBatch.from_pydict(arrays)
    plain = plain_batch(batch, plain_types(SCHEMA.raw_columns), "log.parquet, rows 1 to 3")
    check_rows(SCHEMA.raw_columns, plain, (), "log.parquet, rows 1 to 3")
    return {
        name: values.tolist()
        for name, values in dense_columns(SCHEMA.raw_columns, pa.Table.from_batches([plain]), ()).items()
    }


STRINGS, LISTS = COLUMNS["item"], COLUMNS["seen_item"]
FIXED = pa.array([["a", "b"], None, ["c", None]], pa.list_(pa.string(), 2))
SAME = {
    "large strings": {"item": pa.array(STRINGS, pa.large_string())},
    "string views": {"item": pa.array(STRINGS, pa.string_view())},
    "text as bytes": {"item": pa.array([b"a", None, b"c"])},
    "bytes of fixed size": {"item": pa.array([b"a", None, b"c"], pa.binary(1))},
    "dictionary": {"item": pa.array(STRINGS).dictionary_encode()},
    "runs": {"shop": pc.run_end_encode(pa.array([1, None, 3]))},
    "integers with gaps, by pandas": {"shop": pa.array([1.0, float("nan"), 3.0])},
    "small integers": {"shop": pa.array([1, None, 3], pa.uint8())},
    "integers as text": {"shop": pa.array(["1", None, "3"])},
    "decimals": {"price": pa.array(["1.5", None, "3"]).cast(pa.decimal128(5, 2))},
    "half precision": {"price": pa.array([1.5, None, 3.0]).cast(pa.float16())},
    "label as boolean": {"click": pa.array([True, False, True])},
    "label as number": {"click": pa.array([1.0, 0.0, 1.0])},
    "large lists": {"seen_item": pa.array(LISTS, pa.large_list(pa.large_string()))},
    "list views": {"seen_item": pa.array(LISTS, pa.list_view(pa.string_view()))},
    "lists of fixed size": {"seen_item": FIXED, "text": pa.array(COLUMNS["text"], pa.list_(pa.float64(), 2))},
    "lists of dictionaries": {"seen_item": pa.array(LISTS, pa.list_(pa.dictionary(pa.int8(), pa.string())))},
    "slices": {"seen_item": pa.array([["x"], *LISTS])[1:], "seen_age": pa.array([[9, 9], *COLUMNS["seen_age"]])[1:]},
    "something behind a null": {
        "seen_item": pa.ListArray.from_arrays(
            pa.array([0, 2, 3, 5], pa.int32()), pa.array(["a", "b", "hidden", "c", None]),
            mask=pa.array([False, True, False]),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("layout", SAME)
def test_every_layout_gives_the_same_batch(layout):
    assert str(read(**SAME[layout])) == str(read())  # NaN is not equal to itself


def test_what_nulls_become():
    batch = read()
    assert batch["item"] == ["a", "", "c"] and batch["shop"] == [1, -1, 3]
    assert str(batch["price"][1]) == "nan" and str(batch["text"][1]) == "[nan, nan]"
    assert batch["seen_item"] == [["a", "b"], ["", ""], ["c", ""]]
    assert batch["seen_length"] == [2, 0, 2]


def test_columns_of_nulls_alone():
    nulls = pa.nulls(ROWS)
    batch = read(item=nulls, price=nulls, text=nulls, seen_item=nulls, seen_age=nulls)
    assert batch["item"] == ["", "", ""] and batch["seen_item"] == [[], [], []] and batch["seen_length"] == [0, 0, 0]


def test_numbers_as_ids():
    assert read(item=pa.array([1, None, 3]))["item"] == ["1", "", "3"]


WRONG = {
    "a digest as text": ({"item": pa.array([b"\xff", b"a", b"b"])}, r"'item' must hold text \(UTF-8\).*binary"),
    "beyond 64 bits": ({"shop": pa.array([2**63, 1, 2], pa.uint64())}, "'shop' must hold integers of 64 bits.*uint64"),
    "a share as integer": ({"shop": pa.array([1.5, 1, 2])}, "'shop' must hold integers.*double"),
    "a list as value": ({"item": pa.array([["a"], ["b"], []])}, "'item' must hold text.*list"),
    "a history as text": (
        {"seen_item": pa.array(["a|b", "", "c"])},
        "'seen_item' must hold lists of text.*write lists",
    ),
    "a word as number": ({"price": pa.array(["1.5", "cheap", "2"])}, "'price' must hold numbers.*cheap"),
    "a struct": ({"price": pa.array([{"a": 1}] * 3)}, "'price' must hold numbers.*struct"),
    "a third class": ({"click": pa.array([0, 1, 2])}, "label 'click' must be 0 or 1. Received: 2"),
    "no label": ({"click": pa.array([0, None, 1])}, "'click' must not be empty. Received: 1 rows"),
    "no key": ({"user": pa.array(["u", None, None])}, "'user' must not be empty. Received: 2 rows"),
    "a longer vector": ({"text": pa.array([[1.0, 2.0, 3.0]] * 3)}, "vector 'text' must hold 2 numbers. Received: 3"),
    "fewer ages": ({"seen_age": pa.array([[1], [], [3, 4]])}, "'seen_item' and 'seen_age' of sequence 'seen'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_hold_the_values_names_file_and_column(case):
    columns, message = WRONG[case]
    with pytest.raises(DataError, match=rf"^log\.parquet, rows 1 to 3: .*{message}"):
        read(**columns)
