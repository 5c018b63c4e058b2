"""Histories that are compared with the candidate."""

import numpy as np
import pytest

from tests.schema.trained import scores_after_training
from tests.small_log import learned_schema, matching_schema, raw_batch
from tf_interformer._keras import keras
from tf_interformer.embedding import TokenEmbedder
from tf_interformer.preprocessing import Preprocessor
from tf_interformer.ranker import Ranker
from tf_interformer.schema import Categorical, FeatureSchema, Label, SchemaError, Sequence


def shop(**sequence):
    """A schema whose items are known, but for those that a test makes up."""
    fields = [
        Categorical("item", table="item"),
        Categorical("brand", table="brands"),
        Categorical("action", dtype="int64", vocabulary=[10, 20]),
    ]
    return FeatureSchema(
        features=[
            Categorical("item", vocabulary=["a", "b"]),
            Categorical("brands", hash_buckets=50, max_values=2),
            Categorical("country", vocabulary=["NL"]),
        ],
        sequences=[Sequence("seen", **{"fields": fields, "max_length": 4, "match": ["item", "brand"], **sequence})],
        labels=[Label("click", mean=0.1)],
        candidate=["item", "brands"],
    )


RAW = {
    "item": np.array(["a", "new", "a", "", "b"], object),
    "brands": np.array([["x", "y"], ["z", ""], ["", ""], ["x", ""], ["x", "y"]], object),
    "country": np.array(["NL"] * 5, object),
    # The first history is longer than the schema keeps: what was first is forgotten.
    "seen_item": np.array(
        [
            ["a", "b", "a", "a", "b", "b"],
            ["new", "a", "new", "", "", ""],
            ["b", "other", "", "", "", ""],
            ["", "", "", "", "", ""],
            ["b", "b", "b", "b", "b", "b"],
        ],
        object,
    ),
    "seen_brand": np.array([["y", "x", "z", "x", "y", "q"], *[["z", "x", "", "", "", ""]] * 4], object),
    "seen_action": np.array([[10, 20, 10, 20, 10, 20]] * 5),
    "seen_length": np.array([6, 3, 2, 2, 0]),
}


def naive(raw, row, values, field, max_length=4):
    """Flags, count, recency and the action of the latest event on the candidate, event by event."""
    events = list(zip(raw[field][row], raw["seen_action"][row], strict=True))[: raw["seen_length"][row]][-max_length:]
    flags = [value != "" and value in values for value, _ in events]
    recency, action = 0.0, 0
    for place, (flag, (_, kind)) in enumerate(zip(flags, events, strict=True)):
        if flag:
            recency, action = 1 / (len(events) - place), {10: 2, 20: 3}[int(kind)]
    padded = [1 + flag for flag in flags] + [0] * (max_length - len(flags))
    return padded, np.log1p(sum(flags)), recency, action


@pytest.mark.parametrize("field", ["item", "brand"])
def test_equals_naive_counting(field):
    encoded = {name: value.numpy() for name, value in Preprocessor(shop())(RAW).items()}
    column = f"seen_{field}"
    for row in range(5):
        values = [v for v in np.atleast_1d(RAW["item" if field == "item" else "brands"][row]) if v != ""]
        flags, count, recency, action = naive(RAW, row, values, column)
        assert encoded[f"{column}_match"][row].tolist() == flags
        assert encoded[f"{column}_match_count"][row] == pytest.approx(count)
        assert encoded[f"{column}_match_recency"][row] == pytest.approx(recency)
        assert encoded[f"{column}_last_action"][row] == action
    assert "seen_item_last_brand" not in encoded, "what is compared itself is not carried"
    # An item outside the vocabulary is recognised; what is missing is never the candidate.
    assert encoded["seen_item"][1].tolist()[:3] == [1, 2, 1]
    assert encoded["seen_item_match"][1].tolist() == [2, 1, 2, 0]
    assert encoded["seen_item_match"][3].tolist() == [1, 1, 0, 0]


def test_padding_is_never_the_candidate():
    longer = {**RAW, "seen_item": RAW["seen_item"].copy()}
    longer["seen_item"][2, 2:] = "a"
    for name, value in Preprocessor(shop())(longer).items():
        np.testing.assert_array_equal(value, Preprocessor(shop())(RAW)[name], err_msg=name)


def test_tokens():
    schema = shop()
    embedder = TokenEmbedder(schema, dim=4)
    encoded = Preprocessor(schema)(RAW)
    tokens = embedder(encoded)
    assert embedder.feature_names == [
        "dense", "item", "brands", "country", "seen_item_last_action", "seen_brand_last_action",
    ]  # fmt: skip
    assert tokens["numbers"].shape == (5, 4)
    assert tokens["sequences"]["seen"].shape == (5, 4, 5 * 4)
    # The latest action is embedded as an action is.
    action = embedder.rows_of("seen_action")
    last = np.asarray(encoded["seen_item_last_action"])
    np.testing.assert_allclose(tokens["features"][:, 4], action[last] * (last > 0)[:, None], rtol=1e-6)
    flags = np.asarray(encoded["seen_item_match"])
    events = np.asarray(tokens["sequences"]["seen"])
    expected = embedder.rows_of("seen_item_match")[flags] * (flags > 0)[..., None]
    np.testing.assert_allclose(events[:, :, 12:16], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("backbone", "config"), [("interformer", {"num_layers": 1, "num_heads": 2, "interaction": "dot"}), ("dcn_v2", {})]
)
def test_models_learn_from_it(backbone, config):
    """Whether the candidate was seen is all that tells: items are all new."""
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(0)
    count = 256
    seen = np.array([[f"i{random.integers(10**9)}" for _ in range(4)] for _ in range(count)], object)
    item = np.array([f"j{i}" for i in range(count)], object)
    clicked = random.integers(0, 2, count)
    item[clicked == 1] = seen[clicked == 1, random.integers(0, 4, int(clicked.sum()))]
    raw = {
        "item": item,
        "brands": np.full((count, 2), "x", object),
        "country": np.full(count, "NL", object),
        "seen_item": seen,
        "seen_brand": np.full((count, 4), "q", object),
        "seen_action": np.full((count, 4), 10),
        "seen_length": np.full(count, 4),
        "click": clicked.astype(np.float32),
    }
    scores = scores_after_training(shop(), raw, backbone, config, epochs=8)
    assert scores[clicked == 1].min() > scores[clicked == 0].max()


def test_round_trips():
    schema = matching_schema()
    assert FeatureSchema.from_json(schema.to_json()) == schema
    keras.utils.set_random_seed(2)
    ranker = Ranker(schema, backbone_config={"num_layers": 1, "num_heads": 2}, embedding={"dim": 4})
    again = Ranker.from_config(ranker.get_config())
    again.set_weights(ranker.get_weights())
    raw = raw_batch(20)
    np.testing.assert_allclose(again.score(raw)["click"], ranker.score(raw)["click"], atol=1e-6)
    assert "viewed_item_match" in ranker.encoded_shapes
    # The raw columns are those of the schema without.
    assert schema.signature() == learned_schema().signature()


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ({"match": ["action"]}, "field 'action' of `match` needs `table`"),
        (
            {"match": ["price"]},
            r"`match` must name categorical fields, which are \['item', 'brand', 'action'\]. Received: 'price'",
        ),
        ({"match": ["item", "item"]}, "each field once"),
        (
            {"fields": [Categorical("item", table="country")], "match": ["item"]},
            r"must be a feature of the candidate: one of \['item', 'brands'\]",
        ),
    ],
)
def test_wrong_declarations(sequence, message):
    with pytest.raises(SchemaError, match=message):
        shop(**sequence)
