"""The peers of the comparison of quality see the same inputs and are the same models."""

import importlib.util

import numpy as np
import pytest

from benchmarks import peers_quality
from benchmarks.peers import contenders
from benchmarks.peers.shared_inputs import readable_by_both
from tests.small_log import declared_schema, matching_schema, raw_batch
from tf_interformer import Categorical, FeatureSchema, Label, Numeric, Ranker, SchemaError, Sequence
from tf_interformer.backbones import DCNv2


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


@pytest.mark.filterwarnings("ignore:CUDA initialization")
@pytest.mark.parametrize("model", peers_quality.MODELS)
def test_given_the_weights_of_ours_it_scores_and_learns_alike(model):
    pytest.importorskip("torch", reason="needs FuxiCTR: pip install fuxictr torch")
    pytest.importorskip("fuxictr", reason="needs FuxiCTR: pip install fuxictr torch")
    peers_quality.prepare_torch()
    from benchmarks.peers.fuxictr_weights import load_ranker

    schema = two_fields() if model == "din" else readable_by_both(declared_schema())
    schema = schema.learn([events(64, seed=1)])
    ours, theirs = contenders.Ours(schema, model, seed=0), contenders.Theirs(schema, model, seed=0)
    random = np.random.default_rng(0)
    for weight in ours.ranker.trainable_weights:
        weight.assign(weight + random.normal(0, 0.2, weight.shape))
    keep_history_as_it_is(ours.ranker)
    load_ranker(theirs.model, ours.ranker)

    def probabilities(contender, batches):
        scores = np.asarray(contender.scores(batches), "float64")
        return 1 / (1 + np.exp(-scores)) if contender.logits else scores

    # The ids of a batch repeat: each must move by the sum of its gradients.
    batches = [ours.ranker.preprocessor.training_batch(events(64, seed)) for seed in range(4)]
    before = probabilities(ours, batches)
    np.testing.assert_allclose(probabilities(theirs, batches), before, atol=1e-5)
    for contender in (ours, theirs):
        for batch in batches:
            contender.train([batch])
            keep_history_as_it_is(ours.ranker)
    after = probabilities(ours, batches)
    np.testing.assert_allclose(probabilities(theirs, batches), after, atol=1e-3)
    assert np.abs(after - before).max() > 0.02


def keep_history_as_it_is(ranker: Ranker) -> None:
    """Make DCNv2's map behind the mean of the events, which the other lacks, the identity."""
    if isinstance(ranker.backbone, DCNv2):
        ranker.backbone.pooling.kernels[0].assign(np.eye(contenders.WIDTH))


def two_fields() -> FeatureSchema:
    """One in which the candidate's tag is a single value, and so the events keep two fields."""
    config = declared_schema().get_config()
    for feature in config["features"]:
        feature |= {"max_values": None} if feature["name"] == "tags" else {}
    return readable_by_both(FeatureSchema.from_config(config))


def events(count: int, seed: int) -> dict:
    raw = raw_batch(count, seed)
    return {**raw, "tags": raw["tags"][:, 0]}
