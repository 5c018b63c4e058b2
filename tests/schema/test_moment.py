"""A kind of feature that is one file: everything else must take it by what its class says."""

from datetime import UTC, datetime

import numpy as np
import pytest
import tensorflow as tf

from serving.encoder import Encoder
from tf_interformer import Ranker
from tf_interformer.preprocessing import Preprocessor
from tf_interformer.schema import Categorical, FeatureSchema, Label, Moment, SchemaError, Sequence

MOMENTS = [0, 1_700_000_000, 1_764_246_000, -1, -3601, 4_000_000_000]


def declared(**changes):
    return FeatureSchema(
        features=[Moment("at", **changes), Categorical("item", vocabulary=["a", "b"])],
        sequences=[
            Sequence("seen", fields=[Categorical("item", table="item"), Moment("at")], max_length=2, match=["item"])
        ],
        labels=[Label("click", mean=0.5)],
        candidate=["item"],
    )


def raw():
    count = len(MOMENTS)
    return {
        "at": np.array(MOMENTS),
        "item": ["a"] * count,
        "seen_item": [["b", "a", "b"]] * count,
        "seen_at": [[MOMENTS[1], MOMENTS[2], 7]] * count,
        "seen_length": [3, 2, 1, 0, 2, 2],
    }


@pytest.mark.parametrize(("unit", "offset"), [("s", 0), ("ms", 0), ("s", -18_000)])
def test_hour_and_weekday_are_the_calendars(unit, offset):
    factor = 1000 if unit == "ms" else 1
    given = raw() | {"at": [moment if moment == -1 else moment * factor for moment in MOMENTS]}
    found = Preprocessor(declared(unit=unit, utc_offset=offset))(given)
    told = [None if moment == -1 else datetime.fromtimestamp(moment + offset, UTC) for moment in MOMENTS]
    assert found["at_hour"].numpy().tolist() == [0 if moment is None else 2 + moment.hour for moment in told]
    assert found["at_weekday"].numpy().tolist() == [0 if moment is None else 2 + moment.weekday() for moment in told]


def test_the_encoder_gives_the_same_and_events_have_both(tmp_path):
    schema = declared()
    assert FeatureSchema.from_json(schema.to_json(tmp_path / "schema.json")) == schema
    expected = Preprocessor(schema)(raw())
    found = Encoder(tmp_path / "schema.json").encode(raw())
    assert set(found) == set(expected) == {column.name for column in schema.encoded_columns}
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert found["seen_at_hour"][3].tolist() == [0, 0]
    assert found["seen_item_last_at_weekday"][1] == 2 + datetime.fromtimestamp(MOMENTS[2], UTC).weekday()


def test_a_model_reads_it_from_rows_and_from_examples():
    schema = declared()
    ranker = Ranker(schema, backbone_config={"num_layers": 1, "num_heads": 2}, embedding={"dim": 4})
    names = ranker.embedder.feature_names
    assert names[:2] == ["dense", "at_hour"] and "seen_item_last_at_hour" in names
    scores = ranker.score(raw())["click"]
    assert scores.shape == (len(MOMENTS),) and np.isfinite(scores).all()
    feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[MOMENTS[1]]))
    example = tf.train.Example(features=tf.train.Features(feature={"at": feature}))
    parsed = schema.parse_examples(tf.constant([example.SerializeToString()]), labels=False)
    assert parsed["at"].numpy() == [MOMENTS[1]] and parsed["seen_length"].numpy() == [0]
    assert schema.without("at", "seen_at").served_columns != schema.served_columns
    with pytest.raises(SchemaError, match="Moment 'at', unit"):
        Moment("at", unit="days")
