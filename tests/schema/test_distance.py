"""Histories whose events are at a distance from the candidate."""

import numpy as np
import pytest

from serving.encoder import Encoder
from tests.schema.trained import scores_after_training
from tf_interformer._keras import keras
from tf_interformer.embedding import TokenEmbedder
from tf_interformer.preprocessing import Preprocessor
from tf_interformer.ranker import Ranker
from tf_interformer.schema import Categorical, FeatureSchema, Label, SchemaError, Sequence


def schema(place=None, field=None, **sequence):
    place = place or Categorical("place", dtype="int64", vocabulary=range(1, 26))
    field = field or Categorical("place", dtype="int64", table="place", missing=-7)
    return FeatureSchema(
        features=[Categorical("item", vocabulary=["a"]), place, Categorical("country", vocabulary=["NL"])],
        sequences=[
            Sequence(
                "seen",
                **{
                    "fields": [Categorical("item", table="item"), field, Categorical("action", vocabulary=["look"])],
                    "max_length": 4,
                    "match": ["item"],
                    "distance": ["place"],
                    **sequence,
                },
            )
        ],
        labels=[Label("click", mean=0.1)],
        candidate=["item", "place"],
    )


FAR = 2**62
RAW = {
    "item": np.array(["a"] * 6, object),
    "place": np.array([3, 3, -1, 1000, -FAR, 1]),
    "country": np.array(["NL"] * 6, object),
    "seen_item": np.array([["b"] * 6] * 6, object),
    "seen_action": np.array([["look"] * 6] * 6, object),
    # The first history is longer than the schema keeps; what is missing in the third is the candidate's place.
    "seen_place": np.array(
        [
            [9, 9, 1, 3, 25, 2],
            [4, -7, 9, 9, 9, 9],
            [4, 5, 6, 7, 8, 9],
            [1000 - 32, 1000 - 63, 1000 - 64, 1000 + 33, 0, 0],
            [FAR, 0, 0, 0, 0, 0],
            [-7, -7, 5, 5, 5, 5],
        ]
    ),
    "seen_length": np.array([6, 2, 6, 4, 1, 2]),
}


def naive(row, max_length=4):
    """Ids of the events and of the latest one whose distance is known, event by event."""
    bounds = [*range(1, 33)] + [2**power for power in range(6, 21)]
    own = int(RAW["place"][row])
    ids = []
    for place in RAW["seen_place"][row][: RAW["seen_length"][row]][-max_length:].tolist():
        if own == -1 or place == -7:
            ids.append(0)
            continue
        size = sum(1 for bound in bounds if bound <= abs(own - place))
        ids.append(49 + (size if own > place else -size))
    known = [i for i in ids if i]
    return ids + [0] * (max_length - len(ids)), known[-1] if known else 0


def test_equals_naive_counting():
    encoded = {name: value.numpy() for name, value in Preprocessor(schema())(RAW).items()}
    for row in range(6):
        ids, latest = naive(row)
        assert encoded["seen_place_distance"][row].tolist() == ids
        assert encoded["seen_place_distance_latest"][row] == latest
    # Two before, the same, 22 behind, one before
    assert encoded["seen_place_distance"][0].tolist() == [51, 49, 27, 50]
    assert encoded["seen_place_distance"][4].tolist() == [2, 0, 0, 0]
    assert encoded["seen_place_distance"].max() < schema().id_counts["seen_place_distance"]
    assert "seen_item_last_place" not in encoded, "what is compared itself is not carried"


def test_encoder_agrees(tmp_path):
    expected = Preprocessor(schema())(RAW)
    schema().to_json(tmp_path / "schema.json")
    found = Encoder(tmp_path / "schema.json").encode(RAW)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value.numpy(), rtol=1e-6, err_msg=name)
        assert found[name].dtype == value.numpy().dtype, name


def test_tokens():
    embedder = TokenEmbedder(schema(), dim=4)
    encoded = Preprocessor(schema())(RAW)
    tokens = embedder(encoded)
    assert embedder.feature_names == [
        "dense", "item", "place", "country", "seen_item_last_action", "seen_place_distance_latest",
    ]  # fmt: skip
    assert tokens["sequences"]["seen"].shape == (6, 4, 5 * 4)
    rows = embedder.rows_of("seen_place_distance")
    ids = encoded["seen_place_distance"].numpy()
    np.testing.assert_allclose(
        np.asarray(tokens["sequences"]["seen"])[:, :, 16:], rows[ids] * (ids > 0)[..., None], rtol=1e-6
    )
    latest = encoded["seen_place_distance_latest"].numpy()
    np.testing.assert_allclose(np.asarray(tokens["features"])[:, 5], rows[latest] * (latest > 0)[:, None], rtol=1e-6)


@pytest.mark.parametrize(
    ("backbone", "config"), [("interformer", {"num_layers": 1, "num_heads": 2, "interaction": "dot"}), ("dcn_v2", {})]
)
def test_models_learn_from_it(backbone, config):
    """Clicked is what stands right behind the place looked at last: neither place tells it alone."""
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(0)
    count = 256
    place = random.integers(2, 25, count)
    clicked = random.integers(0, 2, count)
    looked = np.where(clicked, place - 1, place + random.integers(0, 2, count))
    raw = {
        "item": np.full(count, "new", object),
        "place": place,
        "country": np.full(count, "NL", object),
        "seen_item": np.full((count, 4), "other", object),
        "seen_action": np.full((count, 4), "look", object),
        "seen_place": np.stack([random.integers(1, 26, count), np.full(count, -7), looked, np.full(count, -7)], axis=1),
        "seen_length": np.full(count, 4),
        "click": clicked.astype(np.float32),
    }
    scores = scores_after_training(schema(), raw, backbone, config, epochs=10)
    assert scores[clicked == 1].min() > scores[clicked == 0].max()


def test_candidates_of_one_request_and_round_trips():
    keras.utils.set_random_seed(2)
    ranker = Ranker(schema(), backbone_config={"num_layers": 1, "num_heads": 2}, embedding={"dim": 4})
    user = {name: value[:1] for name, value in RAW.items() if name not in schema().candidate}
    items = {name: RAW[name] for name in schema().candidate}
    each = {**{name: np.repeat(value, 6, axis=0) for name, value in user.items()}, **items}
    expected = ranker.score(each)["click"]
    np.testing.assert_allclose(ranker.score_candidates(user, items)["click"], expected, atol=1e-6)
    again = Ranker.from_config(ranker.get_config())
    again.set_weights(ranker.get_weights())
    np.testing.assert_allclose(again.score(each)["click"], expected, atol=1e-6)
    assert len(set(expected.round(7).tolist())) > 1
    assert FeatureSchema.from_json(schema().to_json()) == schema()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distance": ["action"]}, "field 'action' of `distance` needs `table`"),
        ({"distance": ["price"]}, "`distance` must name categorical fields"),
        ({"distance": ["place", "place"]}, "each field once"),
        ({"distance": ["item"]}, "field 'item' of `distance` must have dtype int64. Received: string"),
        ({"place": Categorical("place", dtype="int64", max_values=2, vocabulary=[1])}, "a feature of one value"),
        (
            {
                "place": Categorical("where", dtype="int64", vocabulary=[1]),
                "field": Categorical("place", dtype="int64", table="hour"),
            },
            "which no feature owns|must be a feature of the candidate",
        ),
    ],
)
def test_wrong_declarations(options, message):
    with pytest.raises(SchemaError, match=message):
        schema(**options)
