"""What users call their columns is theirs: it collides with no part of a model, and any text will do."""

import json

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

from pipelines import evaluate, train
from pipelines.own_log import __main__ as own_log
from serving import agreement, rank
from serving.graph_session import GraphSession
from tf_interformer._keras import keras
from tf_interformer._names import safe_name
from tf_interformer._signature_names import name_inputs
from tf_interformer.export import export_saved_model
from tf_interformer.ranker import Ranker
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, SchemaError, Sequence, Vector

# Arguments and attributes of the Ranker, its layers and Keras models; words of Python; what batches are made of.
OWN_LABELS = ("activation", "units", "loss")
OWN_FEATURES = ("kwargs", "name", "inputs", "training", "features", "ids", "linear", "dense", "schema", "probability")
OWN_VECTORS = ("maps", "built")
# What neither Keras nor TensorFlow nor Python takes for a name, and pairs that are alike without it.
HARD_FEATURES = (
    "self",
    "class",
    "a/b",
    "a b",
    "a-b",
    "a_b",
    "価格",
    "色彩",
    "2nd",
    "x.y",
    "a,b:c",
    '"q"',
    "%s",
    "{}",
    "..",
)
HARD_LABELS = ("2nd/größe", "2nd größe")
HARD_VECTORS = ("v/1", "v 1")
LABELS, FEATURES = OWN_LABELS + HARD_LABELS, OWN_FEATURES + HARD_FEATURES
VECTORS, NUMBERS = OWN_VECTORS + HARD_VECTORS, ("lengths", "trainable", "preis (€)")


@pytest.fixture(scope="module")
def trained():
    """A Ranker whose schema has all of these names, after a step, and a batch."""
    random = np.random.default_rng(0)
    events = [Categorical("events"), Categorical("call"), Categorical("a/b", table="a/b")]
    schema = FeatureSchema(
        name="log/größe",
        features=[
            *(Categorical(name) for name in FEATURES),
            *(Numeric(name, buckets=2 * (name == "preis (€)")) for name in NUMBERS),
            *(Vector(name, dim=2) for name in VECTORS),
        ],
        sequences=[
            Sequence("sequences", fields=events[:2], max_length=3),
            Sequence("ge/sehen", fields=events[2:], max_length=3, match=["a/b"]),
        ],
        labels=[Label(name) for name in LABELS],
        candidate=["kwargs", "inputs", "a/b"],
        group="a b",
    )
    raw = {name: random.choice(["a", "b"], 32) for name in FEATURES}
    raw |= {name: random.normal(size=32) for name in NUMBERS} | {name: random.normal(size=(32, 2)) for name in VECTORS}
    for sequence in schema.sequences:
        raw |= {sequence.column(field.name): random.choice(["a", "b"], (32, 3)) for field in sequence.fields}
        raw[sequence.length_column] = random.integers(0, 4, 32)
    raw |= {name: random.integers(0, 2, 32) for name in LABELS}
    ranker = Ranker(
        schema.learn([raw]),
        backbone_config={"num_layers": 1, "num_heads": 2, "interaction": "dot"},
        embedding={"dim": 4},
        tower_units=(4,),
        tower_numbers=True,
        linear_terms=1.0,
        list_loss=0.1,
    )
    metrics = {name: [keras.metrics.AUC(num_thresholds=20, from_logits=True, name="auc")] for name in HARD_LABELS}
    ranker.compile("adam", metrics=metrics, jit_compile=False)
    logs = ranker.fit(*ranker.preprocessor.training_batch(raw, lists="group"), verbose=0).history
    assert {f"{name}_loss" for name in LABELS} | {f"{name}_auc" for name in HARD_LABELS} < set(logs)
    return ranker, raw


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    return export_saved_model(trained[0], tmp_path_factory.mktemp("names") / "model")


def asked_of(ranker, raw):
    return {
        name: tf.convert_to_tensor(raw[name].astype(object) if spec.dtype == tf.string else raw[name], spec.dtype)
        for name, spec in ranker.schema.signature().items()
    }


def test_save_and_load(trained, tmp_path):
    ranker, raw = trained
    assert (ranker.tower_units, ranker.tower_activation, ranker.tower_dropout) == ((4,), "swish", 0.0)
    ranker.save(tmp_path / "ranker.keras")
    again = Ranker.from_file(tmp_path / "ranker.keras")
    for task in LABELS:
        np.testing.assert_array_equal(again.score(raw)[task], ranker.score(raw)[task])


def test_export(trained, exported):
    ranker, raw = trained
    asked = asked_of(ranker, raw)
    specs = ranker.schema.signature()
    loaded = tf.saved_model.load(str(exported)).signatures["serving_default"]
    in_python = loaded(**{specs[name].name: value for name, value in asked.items()})
    session = GraphSession(exported)
    served = session.run("serving_default", {name: value.numpy() for name, value in asked.items()})
    for task in LABELS:
        for found in (in_python, served):
            np.testing.assert_allclose(np.ravel(found[f"{task}_probability"]), ranker.score(raw)[task], rtol=1e-5)
    assert set(session.signatures["score_candidates"].inputs) == set(ranker.schema.signature())


def test_export_of_encoded_batches(trained, tmp_path):
    ranker, _ = trained
    ranker.export(tmp_path / "model")
    assert set(GraphSession(tmp_path / "model").signatures["serve"].inputs) == set(ranker.encoded_signature)


def test_safe_names_differ_and_plain_ones_stay():
    assert len({safe_name(name) for name in FEATURES}) == len(FEATURES)
    assert [name for name in FEATURES if safe_name(name) == name] == [*OWN_FEATURES, "a_b"]
    assert all(safe_name(name).isidentifier() and safe_name(name).isascii() for name in HARD_FEATURES)


def test_inputs_of_plain_names_are_left_alone(tmp_path):
    name_inputs(tmp_path, ["item", "user"])  # there is nothing to read
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "may not be empty"),
        (" ", "may not be empty"),
        ("a\0b", "may hold no control characters"),
        ("a\nb", "may hold no control characters"),
        ("\ud800", "no halves of characters"),
        ("_list", "is what batches call the list"),
        ("_row", "is what batches call the user"),
    ],
)
def test_what_no_name_is(name, why):
    with pytest.raises(SchemaError, match=f"{why}.* Received: "):
        Numeric(name)
    with pytest.raises(SchemaError, match=why):
        FeatureSchema(features=[Numeric("x")], labels=[Label("y")], group=name)


CONFIG = """
dataset: {name: own_log, format: parquet}
model:
  backbone: dlrm
  backbone_config: {}
  embedding: {dim: 4}
  tower_units: [4]
training: {batch_size: 64, epochs: 1, jit_compile: false}
"""


def test_a_log_of_hard_names_from_the_file_to_the_server(tmp_path, capsys):
    """`schema infer`, `split`, `train`, `evaluate`, and every way to serve what comes of it."""
    random, rows = np.random.default_rng(0), 600
    log = pl.DataFrame(
        {
            "2nd/geklickt": random.integers(0, 2, rows),
            "Nutzer-Nr.": random.integers(0, 20, rows),
            "zeit/ts": np.arange(rows) + 1_700_000_000,
            "artikel größe": random.choice(["klein", "groß", "mittel"], rows),
            "preis (€)": random.uniform(1, 9, rows).round(3),
            "self": random.choice(["x", "y"], rows),
            "a,b:c": random.choice(["x", "y"], rows),
        }
    )
    log.write_csv(tmp_path / "log.csv")
    schema, folder, run = (str(tmp_path / name) for name in ("schema.json", "data", "run"))
    told = ["--label", "2nd/geklickt", "--group", "Nutzer-Nr."]
    assert own_log.main(["infer", str(tmp_path / "log.csv"), *told, "--output", schema]) == 0
    history = 'ge/sehen=artikel größe,"a,b:c",2nd/geklickt,preis (€),seconds_ago:3'
    cut = ["split", str(tmp_path / "log.csv"), "--schema", schema, "--output", folder]
    assert own_log.main([*cut, "--history", history, "--history-where", "ge/sehen=2nd/geklickt"]) == 0
    path = tmp_path / "data" / "schema.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"candidate": ["artikel größe", "a,b:c"]}))
    (tmp_path / "config.yaml").write_text(CONFIG)
    data = ["--data-dir", folder]
    assert train.main(["--config", str(tmp_path / "config.yaml"), "--output", run, *data]) == 0
    assert evaluate.main([run, *data]) == 0
    assert agreement.main([run, *data, "--rows", "20"]) == 0
    ranking = json.loads((tmp_path / "run" / "example_ranking.json").read_text())
    assert list(ranking["history"]) == ["ge/sehen"] and set(ranking["candidates"][0]) == {"artikel größe", "a,b:c"}
    assert rank.main([run]) == 0
    assert "all agree" in capsys.readouterr().out
