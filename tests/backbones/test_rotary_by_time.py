"""InterFormer whose events stand where their ages have them, from raw columns to files."""

import numpy as np
import pytest

from serving.graph_session import GraphSession
from tests.backbones.case import batch
from tests.layer_case import tensors
from tf_interformer.backbones import InterFormer
from tf_interformer.export import export_saved_model
from tf_interformer.ranker import Ranker
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, Sequence

rng = np.random.default_rng(0)
USERS, ITEMS = 6, 5
USER = {
    "user": rng.integers(0, 50, USERS),
    "seen_item": rng.choice(["a", "b", "c"], (USERS, 4)).astype(object),
    "seen_age": rng.lognormal(5, 3, (USERS, 4)).astype("float32"),
    "seen_length": np.array([4, 3, 2, 1, 0, 4], "int32"),
}
ITEM = {"item": rng.choice(["a", "b", "c", "new"], USERS).astype(object)}


def made(flow, **sequence):
    fields = [Categorical("item", table="item"), Numeric("age", transform="log")]
    schema = FeatureSchema(
        features=[Categorical("item"), Categorical("user", dtype="int64", hash_buckets=20)],
        sequences=[Sequence("seen", fields=fields, max_length=4, match=["item"], **sequence)],
        labels=[Label("click")],
        candidate=["item"],
    ).learn([{**USER, **ITEM, "click": np.arange(USERS) % 2}])
    config = {"num_layers": 2, "num_heads": 2, "rotary": "time", "candidate_flow": flow}
    return Ranker(schema, backbone_config=config, embedding={"dim": 8, "stddev": 0.5}, tower_units=(8,))


@pytest.mark.parametrize("flow", ["printed", "request"])
def test_scores_depend_on_how_old_real_events_are(flow, tmp_path):
    ranker = made(flow, age="age")
    scores = ranker.score(USER | ITEM)["click"]
    assert np.isfinite(scores).all()
    later = {**USER, "seen_age": USER["seen_age"].copy()}
    later["seen_age"][0, 0] *= 50
    changed = ranker.score(later | ITEM)["click"]
    assert abs(changed[0] - scores[0]) > 1e-6
    np.testing.assert_allclose(changed[1:], scores[1:], rtol=1e-5)

    one = {name: value[:1] for name, value in USER.items()}
    items = {"item": np.array(["a", "b", "new"], object)}
    rows = {name: np.repeat(value, 3, axis=0) for name, value in one.items()} | items
    expected = ranker.score(rows)["click"]
    np.testing.assert_allclose(ranker.score_candidates(one, items)["click"], expected, rtol=1e-5)

    ranker.save(tmp_path / "model.keras")
    np.testing.assert_allclose(Ranker.from_file(tmp_path / "model.keras").score(rows)["click"], expected, rtol=1e-5)
    with GraphSession(export_saved_model(ranker, tmp_path / "saved", say=lambda _: None)) as session:
        found = session.run("score_candidates", one | items)["probability"][:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_only_how_many_times_as_old_counts():
    """Without CLS tokens all positions may move by the same: the ages are multiplied, and their logarithms shift."""
    layer = InterFormer(num_layers=1, num_heads=2, rotary="time", cls_tokens=False, personalized_ffn="plain")
    inputs = batch()
    ages = {name: np.random.default_rng(1).uniform(1, 9, x.shape[:2]) for name, x in inputs["sequences"].items()}
    outputs = layer(tensors({**inputs, "ages": ages}))["label"]
    moved = {name: age + 2.0 for name, age in ages.items()}
    np.testing.assert_allclose(layer(tensors({**inputs, "ages": moved}))["label"], outputs, rtol=1e-4, atol=1e-5)
    other = {name: 2.0 * age for name, age in ages.items()}
    assert np.abs(layer(tensors({**inputs, "ages": other}))["label"] - outputs).max() > 1e-4


def test_padding_has_no_age():
    layer = InterFormer(num_layers=1, num_heads=2, rotary="time")
    inputs = batch()
    ages = {name: np.full(x.shape[:2], 3.0) for name, x in inputs["sequences"].items()}
    outputs = layer(tensors({**inputs, "ages": ages}))["label"]
    for name, length in inputs["lengths"].items():
        ages[name][np.arange(ages[name].shape[1]) >= length[:, None]] = np.nan
    np.testing.assert_array_equal(layer(tensors({**inputs, "ages": ages}))["label"], outputs)


def test_histories_without_ages_are_refused():
    with pytest.raises(ValueError, match=r"`rotary=\"time\"` needs .*`Sequence\(age=...\)`.*\['seen'\] without"):
        made("printed").score(USER | ITEM)
