"""Examples serialised a column at a time are what protobuf itself would read and write."""

import math

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

from pipelines.datasets.tf_examples import serialize_examples

TABLE = pl.DataFrame(
    {
        "user": [1, -5, 2**62, 0],
        "flag": [True, False, True, True],
        "price": [1.5, math.nan, -2.0, math.inf],
        "word": ["é", "", "x" * 300, "y"],
        "ids": [[1, 300, -1], [], [2**40] * 60, [0, 127, 128, 16383, 16384, 2**63 - 1, -(2**63)]],
        "weights": [[1.0, 2.5], [], [3.0], [4.0]],
        "words": [["a", "bé"], [], ["c" * 300], [""]],
    }
)


def _column(feature):
    values = getattr(feature, feature.WhichOneof("kind")).value
    return [v.decode() if isinstance(v, bytes) else v for v in values]


def test_protobuf_reads_the_same_rows():
    rows = list(TABLE.iter_rows(named=True))
    examples = [tf.train.Example.FromString(data) for data in serialize_examples(TABLE)]
    assert len(examples) == len(rows)
    for example, row in zip(examples, rows, strict=True):
        assert set(example.features.feature) == set(row)
        for name, value in row.items():
            expected = value if isinstance(value, list) else [value]
            np.testing.assert_equal(_column(example.features.feature[name]), expected)


def test_kinds_of_empty_lists():
    example = tf.train.Example.FromString(list(serialize_examples(TABLE))[1])
    kinds = {name: example.features.feature[name].WhichOneof("kind") for name in ("ids", "weights", "words")}
    assert kinds == {"ids": "int64_list", "weights": "float_list", "words": "bytes_list"}


def test_more_rows_than_one_slice():
    table = pl.DataFrame({"x": range(40_000), "y": [[i] * (i % 3) for i in range(40_000)]})
    spec = {"x": tf.io.FixedLenFeature([], tf.int64), "y": tf.io.RaggedFeature(tf.int64)}
    parsed = tf.io.parse_example(tf.constant(list(serialize_examples(table))), spec)
    np.testing.assert_array_equal(parsed["x"], table["x"])
    np.testing.assert_array_equal(parsed["y"].values, table["y"].explode().drop_nulls())
    np.testing.assert_array_equal(parsed["y"].row_lengths(), table["y"].list.len())


@pytest.mark.parametrize(
    ("values", "message"),
    [([1, None], "must hold no nulls"), ([[1], [None]], "must hold no nulls"), ([{"a": 1}], "must hold numbers")],
)
def test_what_an_example_cannot_hold(values, message):
    with pytest.raises(ValueError, match=message):
        list(serialize_examples(pl.DataFrame({"x": values})))
