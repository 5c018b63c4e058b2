import numpy as np
import pytest
import tensorflow as tf

from tests.small_log import declared_schema, raw_batch
from tf_interformer.preprocessing import ROW_COLUMN
from tf_interformer.requests import by_request, by_rows
from tf_interformer.schema import SchemaError

CANDIDATE = ("item", "tags", "price")
OF_EXAMPLES = {*CANDIDATE, "click"}
REQUEST = np.array(["a", "a", "b", "c", "c", "c", "a"])


def schema(**changes):
    of_requests = {"candidate": CANDIDATE, "request": "shown", "request_dtype": "string"}
    return declared_schema().replace(**{**of_requests, **changes})


def rows():
    """Seven rows of four requests, two of one name; what lies behind a history's last event differs between rows."""
    items, users = raw_batch(7, 1), raw_batch(7, 2)
    first = np.array([0, 0, 2, 3, 3, 3, 6])
    users["age"][3] = np.nan
    raw = {name: items[name] if name in OF_EXAMPLES else value[first] for name, value in users.items()}
    for name, length in (("viewed_item", "viewed_length"), ("viewed_tag", "viewed_length")):
        behind = np.arange(6) >= raw[length][:, None]
        raw[name] = np.where(behind, items[name], raw[name])
    return {**raw, "shown": REQUEST}


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("multiple, expected", [(1, 4), (3, 6), (4, 4)])
def test_a_user_has_one_row(traced, multiple, expected):
    raw = {name: tf.constant(value) for name, value in rows().items()}

    def make(raw):
        return by_request(raw, schema(), multiple)

    found = (tf.function(make) if traced else make)(raw)
    assert found[ROW_COLUMN].numpy().tolist() == [0, 0, 1, 2, 2, 2, 3]
    firsts = [0, 2, 3, 6, 6, 6][:expected]
    for name, value in raw.items():
        wanted = value.numpy() if name in OF_EXAMPLES else value.numpy()[firsts]
        np.testing.assert_array_equal(found[name], wanted, err_msg=name)
    back = by_rows(found, schema())
    assert back.keys() == raw.keys()
    for name in ("age", "country", "viewed_length", "bought_length", "shown"):
        np.testing.assert_array_equal(back[name], raw[name], err_msg=name)


def test_ragged_histories_and_columns_of_ones_own():
    raw = rows()
    lists = [row[:n].tolist() for row, n in zip(raw["viewed_item"], raw["viewed_length"], strict=True)]
    raw |= {"viewed_item": tf.ragged.constant(lists, tf.string), "probability": np.arange(7.0)}
    found = by_request(raw, schema())
    assert found["viewed_item"].shape[0] == 4 and found["probability"].numpy().tolist() == list(range(7))
    assert by_request({name: value[:0] for name, value in rows().items()}, schema())[ROW_COLUMN].shape == (0,)


@pytest.mark.parametrize(
    "column, row, value, told",
    [
        ("age", 4, 7.0, r"\[.*c.*\]: \[nan\] and \[7\]\. Name it in the schema's candidate"),
        ("country", 1, "XX", r"\[.*a.*\]: \[.*\] and \[.*XX.*\]"),
        ("user", 5, 77, r"\[.*c.*\]: \[\d\] and \[77\]"),
        ("bought_item", 4, "changed", r"\[.*c.*\]: \[\[.* and \[\[.*changed"),
    ],
)
def test_what_differs_within_a_request_is_refused(column, row, value, told):
    raw = rows()
    raw["bought_length"][3:6] = 4
    if column == "bought_item":
        raw[column][row, 1] = value
    else:
        raw[column][row] = value
    message = rf"column {column} differs within request {told}".replace("schema's", "schema.{1,2}s")
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        by_request(raw, schema())
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        next(iter(tf.data.Dataset.from_tensors(raw).map(lambda raw: by_request(raw, schema()))))


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"request": None},
            r"schema 'small' does not say which rows are of one request: give `FeatureSchema\(request=",
        ),
        ({"candidate": ()}, r"does not say which features differ within a request: give `FeatureSchema\(candidate="),
        ({"request": "page"}, "column 'page' is missing"),
    ],
)
def test_a_schema_that_does_not_say_what_a_request_is(change, message):
    with pytest.raises(SchemaError, match=message):
        by_request(rows(), schema(**change))
