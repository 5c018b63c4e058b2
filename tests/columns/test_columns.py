"""What a column may hold is the same in learning, in the Preprocessor, in a graph and in the NumPy encoder."""

import re
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

from serving.encoder import Encoder, EncoderError
from tf_interformer import columns
from tf_interformer.columns import ColumnError
from tf_interformer.preprocessing import Preprocessor
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, SchemaError, Sequence, Vector

NAN = float("nan")


def schema():
    return FeatureSchema(
        features=[
            Categorical("item"),
            Categorical("code", dtype="int64"),
            Categorical("user", dtype="int64", hash_buckets=50),
            Categorical("tags", max_values=2),
            Numeric("price", transform="none"),
            Vector("image", dim=2, normalize=False),
        ],
        sequences=[
            Sequence("seen", fields=[Categorical("item", table="item"), Categorical("n", dtype="int64")], max_length=2)
        ],
        labels=[Label("click")],
        weight="worth",
    )


def batch():
    return {
        "item": np.array(["a", "b", ""], object),
        "code": np.array([7, 8, -1]),
        "user": np.array([1, 2, -1]),
        "tags": np.array([["x", ""], ["y", "x"], ["", ""]], object),
        "price": np.array([1.0, 0.0, np.nan], np.float32),
        "image": np.array([[1, 2], [3, 4], [np.nan, np.nan]], np.float32),
        "seen_item": np.array([["a", "b", "a"], ["b", "", ""], ["", "", ""]], object),
        "seen_n": np.array([[5, 6, 7], [6, 0, 0], [0, 0, 0]]),
        "seen_length": np.array([3, 1, 0], np.int32),
        "click": np.array([0.0, 1.0, 0.0], np.float32),
        "worth": np.array([1.0, 2.0, 0.0], np.float32),
    }


@pytest.fixture(scope="module")
def learned():
    return schema().learn([batch()])


@pytest.fixture(scope="module")
def encoders(learned, tmp_path_factory):
    path = tmp_path_factory.mktemp("columns") / "m.schema.json"
    learned.to_json(path)
    return Preprocessor(learned), Encoder(path)


def cells(*rows):
    """An array of objects, whatever they are."""
    array = np.empty(len(rows), object)
    array[:] = rows
    return array


class NAType:
    """As pandas says that a value is missing: it cannot be compared, or be true or false."""

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")


NA = NAType()
SAME = {
    "None and NaN in words": {"item": cells("a", "b", None), "tags": [["x"], ["y", "x"], None]},
    "NaN in words": {"item": ["a", "b", NAN], "seen_item": [["a", "b", "a"], ["b"], NAN]},
    "as pandas has them": {"item": cells("a", "b", NA), "code": cells(7, 8, NA), "user": np.array([1, 2, NAN])},
    "polars": {
        "item": pl.Series(["a", "b", None]),
        "code": pl.Series([7, 8, None]),
        "seen_n": pl.Series([[5, 6, 7], [6], []]),
    },
    "masked": {"code": np.ma.masked_array([7, 8, 99], [0, 0, 1]), "price": np.ma.masked_array([1.0, 0, 5], [0, 0, 1])},
    "bytes": {"item": np.array([b"a", b"b", b""]), "tags": cells([b"x"], [b"y", "x"], [])},
    "NumPy's strings": {"item": np.array(["a", "b", ""]), "tags": np.array([["x", ""], ["y", "x"], ["", ""]])},
    "blanks": {"item": [" a", "b\t", "  "], "seen_item": [["a ", "b", " a"], ["b"], []]},
    "ragged lists": {"seen_item": [["a", "b", "a"], ("b",), []], "seen_n": cells([5, 6, 7], np.array([6]), None)},
    "RaggedTensor": {
        "tags": tf.ragged.constant([["x"], ["y", "x"], []], dtype=tf.string),
        "seen_item": tf.ragged.constant([["a", "b", "a"], ["b"], []]),
        "seen_n": tf.ragged.constant([[5, 6, 7], [6], []], dtype=tf.int64),
    },
    "small unsigned": {"code": [7, 8, None], "user": np.array([1, 2, 2**64 - 1], np.uint64)[[0, 1, 1]]},
    "small integers": {"seen_length": np.array([3, 1, 0], np.uint8), "code": np.array([7, 8, -1], np.int8)},
    "floats of integers": {"code": np.array([7.0, 8.0, NAN]), "seen_length": [3.0, 1, 0]},
    "booleans and others for numbers": {"price": [True, False, None], "click": [False, True, False]},
    "booleans": {"price": np.array([True, False, True]), "click": np.array([False, True, False])},
    "Decimal": {"price": [Decimal("1.0"), 0, None], "image": [[1, 2], [3, Decimal(4)], None]},
    "integers": {"price": np.array([1, 0, 0])},
    "float64": {"price": np.array([1, 0, NAN]), "image": np.array([[1, 2], [3, 4], [NAN, 5]])},
    "a trailing axis": {"item": [["a"], ["b"], [""]], "code": np.array([[7], [8], [-1]]), "price": [[1], [0], [None]]},
}
# Where the values themselves are others than those of `batch`.
OTHER = {"small unsigned": {"user": np.array([1, 2, 2])}, "booleans": {"price": np.array([1.0, 0, 1])},
         "integers": {"price": np.array([1.0, 0, 0])}}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_what_is_the_same(learned, encoders, case):
    plain = {**batch(), **OTHER.get(case, {})}
    given = {**plain, **SAME[case]}
    assert schema().learn([given]) == schema().learn([plain])
    preprocessor, encoder = encoders
    expected = preprocessor(plain)
    served = {name: given[name] for name in learned.signature()}
    found = {"preprocessor": preprocessor(given)}
    if case != "RaggedTensor":
        found["encoder"] = encoder.encode(served)
    for way, encoded in found.items():
        for name, value in expected.items():
            np.testing.assert_array_equal(encoded[name], value, err_msg=f"{way} {name}")
    for name, value in preprocessor.labels(plain).items():
        np.testing.assert_array_equal(preprocessor.labels(given)[name], value)


REFUSED = {
    "half a byte sequence": ({"item": cells("a", b"\xff", "b")}, "'item' must hold text, and these bytes are no UTF-8"),
    "half a character": ({"item": ["a", "\ud800", "b"]}, "'item' must hold text, which has no half characters"),
    "number for word": ({"item": ["a", 3, "b"]}, "'item' must hold strings. Received: 3"),
    "list for word": ({"item": ["a", ["b", "c"], "b"]}, "'item' must hold strings. Received: ['b', 'c']"),
    "numbers for words": ({"tags": np.ones((3, 2))}, "'tags' must hold strings. Received: 1.0"),
    "word for number": ({"code": ["7", 8, 9]}, "'code' must hold integers. Received: '7'"),
    "fraction": ({"code": [7.5, 8, 9]}, "'code' must hold integers. Received: 7.5"),
    "infinite integer": ({"code": [7, float("inf"), 9]}, "'code' must hold integers. Received: inf"),
    "large float": ({"code": np.array([1e300, 1, 2])}, "'code' must hold integers. Received: 1e+300"),
    "unsigned": ({"user": np.array([2**63, 1, 2], np.uint64)}, "'user' must hold integers of 64 bits"),
    "large integer": ({"user": [2**63, 1, 2]}, "'user' must hold integers of 64 bits"),
    "moments": ({"price": np.array(["2024-01-01"] * 3, "datetime64[s]")}, "'price' must hold numbers. Received: "),
    "word for price": ({"price": ["1", 2, 3]}, "'price' must hold numbers. Received: '1'"),
    "infinite": ({"price": np.array([1, np.inf, 2], np.float32)}, "'price' must hold finite numbers"),
    "minus infinite": ({"price": [1, -np.inf, 2]}, "'price' must hold finite numbers"),
    "too large for float32": ({"price": np.array([1, 1e39, 2])}, "'price' must hold finite numbers"),
    "infinite vector": ({"image": np.array([[1, np.inf]] * 3)}, "'image' must hold finite numbers"),
    "short vector": ({"image": [[1, 2], [1], [1, 2]]}, "'image' must hold vectors of length 2. Received: [1]"),
    "flat history": ({"seen_item": ["a", "b", "c"]}, "'seen_item' must hold a list in each row. Received: 'a'"),
    "text for a history": ({"seen_n": [[5, 6, 7], "66", []]}, "'seen_n' must hold a list in each row. Received: '66'"),
    "deep history": ({"seen_n": [[5, 6, [7]], [6], []]}, "'seen_n' must hold integers. Received: [7]"),
    "long": ({"seen_length": [4, 1, 0]}, "'seen_length' exceeds the events in 'seen_item'. Received in row 0: 4 of 3"),
    "long in its row": (
        {"seen_item": [["a", "b", "a"], ["b"], []], "seen_length": [3, 2, 0]},
        "'seen_length' exceeds the events in 'seen_item'. Received in row 1: 2 of 1 events",
    ),
    "long in one field": (
        {"seen_n": [[5, 6, 7], [6], []], "seen_length": [3, 2, 0]},
        "'seen_length' exceeds the events in 'seen_n'. Received in row 1: 2 of 1 events",
    ),
    "negative": ({"seen_length": [3, -2, 0]}, "'seen_length' must not be negative. Received: -2"),
    "scalar": ({"price": 3.0}, "'price' must hold a value for each row. Received: 3.0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(learned, encoders, case):
    change, message = REFUSED[case]
    given = {**batch(), **change}
    preprocessor, encoder = encoders
    with pytest.raises(SchemaError, match=re.escape(message)):
        schema().learn([given])
    with pytest.raises(SchemaError, match=re.escape(message)):
        preprocessor(given)
    with pytest.raises(EncoderError, match=re.escape(message)):
        encoder.encode({name: given[name] for name in learned.signature()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"click": ["yes", "no", "no"]}, "'click' must hold numbers. Received: 'yes'"),
        ({"click": [0, 2, 1]}, "label 'click' must be 0 or 1. Received: 2.0"),
        ({"click": [0, None, 1]}, "label 'click' must be 0 or 1. Received: nan"),
        ({"worth": [1, -1, 0]}, "weight 'worth' must be finite and at least 0. Received: -1.0"),
        ({"worth": [1, None, 0]}, "weight 'worth' must be finite and at least 0. Received: nan"),
        ({"worth": [1, 1e300, 0]}, "'worth' must hold finite numbers"),
    ],
)
def test_labels_and_weights_that_are_refused(encoders, change, message):
    given = {**batch(), **change}
    with pytest.raises(SchemaError, match=re.escape(message)):
        schema().learn([given])
    with pytest.raises(SchemaError, match=re.escape(message)):
        encoders[0].training_batch(given)


IN_GRAPH = {
    "infinite": ({"price": np.array([1, np.inf, 2])}, "column price must hold finite numbers"),
    "too large": ({"price": np.array([1, 1e39, 2])}, "column price must hold finite numbers"),
    "vector": ({"image": np.full((3, 2), np.inf)}, "column image must hold finite numbers"),
    "fraction": ({"code": np.array([1, 1.5, 2])}, "column code must hold integers"),
    "unsigned": ({"user": np.array([2**63, 1, 2], np.uint64)}, "column user must hold integers of 64 bits"),
    "ragged": (
        {"seen_item": tf.ragged.constant([["a", "b", "a"], ["b"], []]), "seen_length": [3, 2, 0]},
        "seen_length exceeds the events in seen_item",
    ),
}


@pytest.mark.parametrize("case", IN_GRAPH)
def test_what_a_graph_refuses(encoders, case):
    change, message = IN_GRAPH[case]
    raw = tf.data.Dataset.from_tensors({**batch(), **change})
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(message)):
        next(iter(raw.map(encoders[0])))


@pytest.mark.parametrize("case", [c for c in SAME if c not in ("polars", "masked")])
def test_a_graph_makes_the_same(encoders, case):
    plain = {**batch(), **OTHER.get(case, {})}
    given = {}
    for name, value in {**plain, **SAME[case]}.items():
        try:
            given[name] = value if isinstance(value, tf.RaggedTensor) else tf.convert_to_tensor(value)
        except (ValueError, TypeError):  # what TensorFlow itself has no tensor for
            given[name] = plain[name]
    found = next(iter(tf.data.Dataset.from_tensors(given).map(encoders[0])))
    for name, value in encoders[0](plain).items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_generator_without_shapes(encoders):
    types = {name: tf.convert_to_tensor(value).dtype for name, value in batch().items()}
    raw = tf.data.Dataset.from_generator(lambda: iter([batch()]), output_types=types)
    made = raw.map(encoders[0].training_batch)
    inputs, labels, _ = made.element_spec
    assert all(spec.shape.rank is not None for spec in (*inputs.values(), *labels.values()))
    for name, value in encoders[0](batch()).items():
        np.testing.assert_array_equal(next(iter(made))[0][name], value, err_msg=name)


def test_numbers_that_float16_cannot_hold():
    made = FeatureSchema(
        features=[Numeric("price", transform="none", mean=0.0, std=1.0)], labels=[Label("y", mean=0.5)]
    )
    raw = {"price": np.array([1.0, 70_000.0, np.nan])}
    assert Preprocessor(made)(raw)["price"].numpy()[1] == 70_000
    half = Preprocessor(made, dtype="float16")
    message = "column price by none must fit float16, in which the model computes"
    with pytest.raises(SchemaError, match=f"{message}. Received: 70000.0"):
        half(raw)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        next(iter(tf.data.Dataset.from_tensors(raw).map(half)))
    assert half({"price": [60_000.0]})["price"].numpy() == [60_000]


def test_memory_follows_the_data_not_the_longest_list():
    rows = [["a"]] * 5000 + [["b"] * 200_000]
    found = columns.lists("seen", rows, "string", "")
    assert found.values.size == 205_000
    window = found.last(found.lengths, 3, "")
    assert window.shape == (5001, 3) and window[-1].tolist() == ["b", "b", "b"] and window[0].tolist() == ["a", "", ""]
    assert found.real(np.minimum(found.lengths, 2)).tolist() == ["a"] * 5000 + ["b", "b"]
    long = columns.values("item", ["x" * 1_000_000, "y"] * 50, "string", "")
    assert long.dtype == object


def test_a_vocabulary_with_blanks_is_found():
    made = FeatureSchema(features=[Categorical("c", vocabulary=[" NL", "BR", "NL "])], labels=[Label("y", mean=0.5)])
    assert Preprocessor(made)({"c": ["NL", " NL", "BR", "", "DE"]})["c"].numpy().tolist() == [2, 2, 3, 0, 1]


def test_columns_of_no_rows():
    empty = columns.lists("seen", [], "int64", -1)
    assert (empty.values.dtype, empty.first(2, -1).shape) == (np.int64, (0, 2))
    assert columns.values("item", [], "string", "").shape == (0,)
    with pytest.raises(ColumnError, match="must have rank 1"):
        columns.numbers("price", np.ones((2, 3)))
