"""The peers of the comparison of quality see the same inputs and are the same models."""

import importlib.util

import numpy as np
import pytest

from benchmarks import peers_quality
from benchmarks.peers import contenders
from benchmarks.peers.shared_inputs import readable_by_both
from tests.small_log import declared_schema, matching_schema, raw_batch
from tf_interformer import Categorical, FeatureSchema, Label, Numeric, SchemaError, Sequence


def test_what_both_can_read_is_left():
    schema = readable_by_both(matching_schema())
    assert [feature.name for feature in schema.features] == ["item", "user", "country", "price", "age"]
    assert schema["country"].embedding_dim is None
    # The tag has the table of a multi-valued feature, and there is one history.
    assert [(s.name, [field.name for field in s.fields]) for s in schema.sequences] == [("viewed", ["item"])]
    assert schema.candidate == ("item", "price") and schema.group == "user"
    assert not schema.comparisons and not schema.is_learned


def test_events_have_fields_of_the_candidate_alone():
    fields = [Categorical(name, table=name) for name in ("item", "shop", "hour")]
    declared = FeatureSchema(
        features=[Categorical("item"), Categorical("shop"), Categorical("hour"), Numeric("price")],
        sequences=[Sequence("seen", fields=[*fields, Categorical("again", table="item"), Categorical("outcome")])],
        labels=[Label("click", weight=2.0), Label("buy")],
        candidate=["item", "shop"],
    )
    schema = readable_by_both(declared)
    assert [field.name for field in schema.sequences[0].fields] == ["item", "shop"]
    assert schema.labels == (Label("click"),)


def test_a_schema_without_such_a_history_is_refused():
    config = declared_schema().get_config()
    with pytest.raises(SchemaError, match="no history"):
        readable_by_both(FeatureSchema.from_config({**config, "sequences": []}))


def test_the_table():
    rows = [
        {"model": "din", "package": "tf_interformer", "auc": [0.7, 0.8], "gauc": [0.6, 0.6]},
        {"model": "din", "package": "fuxictr", "auc": [0.75], "gauc": [0.5]},
    ]
    assert peers_quality.table(rows).splitlines()[2:] == [
        "| din | tf_interformer | 0.7500 ± 0.0707 | 0.6000 ± 0.0000 |",
        "| din | fuxictr | 0.7500 | 0.5000 |",
    ]


@pytest.mark.skipif(importlib.util.find_spec("fuxictr") is not None, reason="FuxiCTR is installed")
def test_a_missing_package_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        peers_quality.main(["--config", "none.yaml", "--output", str(tmp_path / "found.json")])
    assert "pip install fuxictr torch" in capsys.readouterr().err


@pytest.mark.parametrize("model", peers_quality.MODELS)
def test_scores_as_the_ranker_whose_weights_it_has(model):
    pytest.importorskip("torch", reason="needs FuxiCTR: pip install fuxictr torch")
    pytest.importorskip("fuxictr", reason="needs FuxiCTR: pip install fuxictr torch")
    peers_quality.prepare_torch()
    from benchmarks.peers.fuxictr_weights import load_ranker

    schema = two_fields() if model == "din" else readable_by_both(declared_schema())
    schema = schema.learn([events(64, seed=1)])
    ranker = contenders.our_model(schema, model)
    random = np.random.default_rng(0)
    for weight in ranker.trainable_weights:
        weight.assign(weight + random.normal(0, 0.2, weight.shape))
    if model == "dcn_v2":
        ranker.backbone.pooling.kernels[0].assign(np.eye(contenders.WIDTH))
    theirs = contenders.Theirs(schema, model, seed=0)
    load_ranker(theirs.model, ranker)
    raw = events(32, seed=5)
    batches = [(dict(ranker.preprocessor(raw)), ranker.preprocessor.labels(raw))]
    ours = 1 / (1 + np.exp(-np.asarray(ranker(batches[0][0])["click"], "float64")))
    np.testing.assert_allclose(theirs.scores(batches), ours.reshape(-1), atol=1e-5)
    assert np.std(ours) > 0.01


def two_fields() -> FeatureSchema:
    """One in which the candidate's tag is a single value, and so the events keep two fields."""
    config = declared_schema().get_config()
    for feature in config["features"]:
        feature |= {"max_values": None} if feature["name"] == "tags" else {}
    return readable_by_both(FeatureSchema.from_config(config))


def events(count: int, seed: int) -> dict:
    raw = raw_batch(count, seed)
    return {**raw, "tags": raw["tags"][:, 0]}
