"""What users call their columns never collides with what a model calls its parts."""

import numpy as np
import pytest
import tensorflow as tf

from serving.export import export_saved_model
from tf_interformer.ranker import Ranker
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, SchemaError, Sequence, Vector

# Arguments and attributes of the Ranker, its layers and Keras models; words of Python; what batches are made of.
LABELS = ("activation", "units", "dropout", "loss")
FEATURES = ("kwargs", "name", "inputs", "training", "features", "ids", "linear", "dense", "schema", "probability")
VECTORS = ("maps", "built")


@pytest.fixture(scope="module")
def trained():
    """A Ranker whose schema has all of these names, after a step, and a batch."""
    random = np.random.default_rng(0)
    numbers = ("lengths", "trainable")
    schema = FeatureSchema(
        features=[
            *(Categorical(name) for name in FEATURES),
            *(Numeric(name) for name in numbers),
            *(Vector(name, dim=2) for name in VECTORS),
        ],
        sequences=[Sequence("sequences", fields=[Categorical("events"), Categorical("call")], max_length=3)],
        labels=[Label(name) for name in LABELS],
        candidate=["kwargs", "inputs"],
    )
    raw = {name: random.choice(["a", "b"], 32) for name in FEATURES}
    raw |= {name: random.normal(size=32) for name in numbers} | {name: random.normal(size=(32, 2)) for name in VECTORS}
    raw |= {f"sequences_{name}": random.choice(["a", "b"], (32, 3)) for name in ("events", "call")}
    raw |= {"sequences_length": random.integers(0, 4, 32)} | {name: random.integers(0, 2, 32) for name in LABELS}
    ranker = Ranker(
        schema.learn([raw]),
        backbone_config={"num_layers": 1, "num_heads": 2},
        embedding={"dim": 8},
        tower_units=(4,),
        tower_numbers=True,
        linear_terms=1.0,
    )
    ranker.compile("adam", jit_compile=False)
    ranker.fit(*ranker.preprocessor.training_batch(raw), verbose=0)
    return ranker, raw


def test_save_and_load(trained, tmp_path):
    ranker, raw = trained
    assert (ranker.tower_units, ranker.tower_activation, ranker.tower_dropout) == ((4,), "swish", 0.0)
    ranker.save(tmp_path / "ranker.keras")
    again = Ranker.from_file(tmp_path / "ranker.keras")
    for task in LABELS:
        np.testing.assert_array_equal(again.score(raw)[task], ranker.score(raw)[task])


def test_export(trained, tmp_path):
    ranker, raw = trained
    served = tf.saved_model.load(str(export_saved_model(ranker, tmp_path / "model")))
    asked = {
        name: tf.convert_to_tensor(raw[name].astype(object) if spec.dtype == tf.string else raw[name], spec.dtype)
        for name, spec in ranker.schema.signature().items()
    }
    found = served.signatures["serving_default"](**asked)
    for task in LABELS:
        np.testing.assert_allclose(found[f"{task}_probability"][:, 0], ranker.score(raw)[task], rtol=1e-5)


@pytest.mark.parametrize("name", ["a/b", "2nd", "größe", "価格", "", "a b"])
def test_a_name_that_no_layer_can_bear_is_refused(name):
    with pytest.raises(SchemaError, match="letters, digits and underscores, a letter first"):
        Numeric(name)


def test_the_name_that_tensorflow_cannot_export_is_refused():
    with pytest.raises(SchemaError, match="Categorical 'self', name: no column may be called 'self'"):
        Categorical("self")
