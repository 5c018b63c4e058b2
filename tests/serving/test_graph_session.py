"""The real runtime takes what is exported: TensorFlow's C++ session, the path that TensorFlow Serving takes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.graph_session import GraphSession
from tests.small_log import learned_schema, raw_batch
from tf_interformer._keras import keras
from tf_interformer.export import export_saved_model
from tf_interformer.ranker import Ranker
from tf_interformer.schema import FeatureSchema

TASKS = ("click", "buy")
CANDIDATE = ("item", "tags", "price")


@pytest.fixture(scope="module")
def ranker():
    keras.utils.set_random_seed(6)
    schema = FeatureSchema.from_config(learned_schema(TASKS).get_config() | {"candidate": CANDIDATE})
    config = {"num_layers": 1, "information_flow": "both", "interaction": "dot", "num_heads": 2}
    return Ranker(schema, backbone_config=config, embedding={"dim": 8}, tower_units=(8,))


@pytest.fixture(scope="module")
def folder(ranker, tmp_path_factory):
    return export_saved_model(ranker, tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def session(folder):
    with GraphSession(folder) as session:
        yield session


def features(count, seed=8):
    return {name: value for name, value in raw_batch(count, seed, TASKS).items() if name not in TASKS}


@pytest.mark.parametrize("count", [1, 33])
def test_scores_equal_pythons(ranker, session, count):
    raw = features(count)
    raw["country"][:1] = "Zürich\0, never seen, and longer than what fits into a short string"
    served = session.run("serving_default", raw)
    for task, expected in ranker.score(raw).items():
        np.testing.assert_allclose(served[f"{task}_probability"][:, 0], expected, atol=1e-5)


def test_candidates_of_one_user(ranker, session):
    raw = features(20)
    one = {name: value if name in CANDIDATE else value[3:4] for name, value in raw.items()}
    rows = {name: value if name in CANDIDATE else np.repeat(value[3:4], 20, axis=0) for name, value in raw.items()}
    served = session.run("score_candidates", one)
    for task, expected in ranker.score(rows).items():
        assert served[f"{task}_probability"].shape == (20, 1)
        np.testing.assert_allclose(served[f"{task}_probability"][:, 0], expected, atol=1e-5)


def test_serialised_examples_and_outputs_of_strings(ranker, session):
    examples = [tf.train.Example().SerializeToString()] * 3
    parsed = ranker.schema.parse_examples(tf.constant(examples), labels=False)
    expected = ranker.score(parsed)["click"][:, None]
    served = session.run("serve_examples", {"examples": examples})
    np.testing.assert_allclose(served["click_probability"], expected, atol=1e-5)
    np.testing.assert_allclose(session.run("regress", {"inputs": examples})["outputs"], expected, atol=1e-5)
    classified = session.run("classify", {"inputs": examples})
    assert classified["classes"].tolist() == [[b"0", b"1"]] * 3
    np.testing.assert_allclose(classified["scores"][:, 1:], expected, atol=1e-5)


def test_every_signature_answers_its_warmup_requests(folder, session):
    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    seen = set()
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        if not log.HasField("predict_log"):
            continue
        request = log.predict_log.request
        name = request.model_spec.signature_name
        outputs = session.run(name, {key: tf.make_ndarray(tensor) for key, tensor in request.inputs.items()})
        assert all(np.isfinite(value).all() for value in outputs.values())
        seen.add(name)
    assert {"serving_default", "serve_examples", "score_candidates", "embed"} <= seen


def test_several_threads_run_at_once(ranker, session):
    raw = features(4)
    expected = ranker.score(raw)["click"]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: session.run("serving_default", raw)["click_probability"], range(40)))
    for answer in answers:
        np.testing.assert_allclose(answer[:, 0], expected, atol=1e-5)


def test_inputs_that_do_not_fit_are_told(session):
    with pytest.raises(ValueError, match=r"signature 'serving_default' takes .* Received: \['age', "):
        session.run("serving_default", features(1) | {"more": np.array([7])})
    with pytest.raises(ValueError, match="invalid literal"):
        session.run("serving_default", features(1) | {"user": np.array(["a"])})
    wrong = features(3) | {"age": np.zeros(2, np.float32)}
    with pytest.raises(tf.errors.InvalidArgumentError):
        session.run("serving_default", wrong)
    assert len(session.run("serving_default", features(3))) == 4


def test_what_is_not_there(session, tmp_path):
    assert {"serving_default", "serve_examples", "score_candidates", "embed"} <= set(session.signatures)
    with pytest.raises(KeyError, match="predict"):
        session.run("predict", {})
    with pytest.raises(OSError, match="saved_model"):
        GraphSession(tmp_path)
