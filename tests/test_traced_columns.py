"""`Ranker.score` and `score_candidates` as a graph."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from tests.small_log import learned_schema, raw_batch
from tf_interformer._keras import keras, ops
from tf_interformer.layers._recording import recording
from tf_interformer.ranker import Ranker
from tf_interformer.schema import FeatureSchema, SchemaError

CANDIDATE = ("item", "tags", "price")
SCHEMA = FeatureSchema.from_config({**learned_schema().get_config(), "candidate": CANDIDATE})


@pytest.fixture(scope="module")
def ranker():
    keras.utils.set_random_seed(1)
    return Ranker(SCHEMA, backbone_config={"num_layers": 1}, embedding={"dim": 8, "stddev": 0.5}, tower_units=(8,))


def batch(count, seed=3):
    return {name: value for name, value in raw_batch(count, seed).items() if name != "click"}


def eager(ranker, raw):
    return ops.convert_to_numpy(ops.sigmoid(ranker.served.logits(raw)["click"]))[:, 0]


def traced(ranker, name="logits"):
    return ranker.served._traced[name]._traced


@pytest.fixture
def only_traced(ranker, monkeypatch):
    """Eager execution is no way out."""
    ranker.score(batch(2))
    monkeypatch.setattr(ranker.served._traced["logits"], "_function", lambda raw: pytest.fail("it ran eagerly"))


def test_one_trace_for_all_batches(ranker, only_traced):
    for count in (1, 2, 7, 33):
        raw = batch(count)
        np.testing.assert_allclose(ranker.score(raw)["click"], eager(ranker, raw), atol=1e-6)
    narrow = batch(4)
    for sequence in SCHEMA.sequences:
        narrow[sequence.length_column] = np.minimum(narrow[sequence.length_column], 2)
        for field in sequence.fields:
            narrow[sequence.column(field.name)] = narrow[sequence.column(field.name)][:, :2]
    np.testing.assert_allclose(ranker.score(narrow)["click"], eager(ranker, narrow), atol=1e-6)
    assert traced(ranker).experimental_get_tracing_count() == 1


def test_other_dtypes_of_the_same_values_are_the_same_trace(ranker, only_traced):
    raw = batch(5)
    expected = eager(ranker, raw)
    text = {name: value for name, value in raw.items() if value.dtype.kind in "OSU"}
    others = (
        {name: np.array(np.vectorize(_decoded, otypes=[object])(value), object) for name, value in text.items()},
        {name: np.vectorize(_decoded, otypes=[str])(value) for name, value in text.items()},
        {name: np.array(np.vectorize(_encoded, otypes=[object])(value), object) for name, value in text.items()},
        {"age": raw["age"].astype(np.float64), "viewed_length": raw["viewed_length"].astype(np.int64)},
        {"user": tf.constant(raw["user"]), "item": tf.constant(raw["item"])},
    )
    for change in others:
        np.testing.assert_allclose(ranker.score(raw | change)["click"], expected, atol=1e-6)
    assert traced(ranker).experimental_get_tracing_count() == 1


def _decoded(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def _encoded(value):
    return value if isinstance(value, bytes) else str(value).encode()


def test_it_follows_the_weights(ranker):
    raw = batch(3)
    before = ranker.score(raw)["click"]
    weights = ranker.get_weights()
    ranker.set_weights([value * 1.5 if value.dtype.kind == "f" else value for value in weights])
    try:
        after = ranker.score(raw)["click"]
        assert np.abs(after - before).max() > 1e-4
        np.testing.assert_allclose(after, eager(ranker, raw), atol=1e-6)
    finally:
        ranker.set_weights(weights)


@pytest.mark.parametrize(
    "change",
    [
        {"viewed_length": np.array([1, 99, 1], np.int32)},
        {"viewed_length": np.array([1, -1, 1], np.int32)},
        {"age": np.array(["a", "b", "c"])},
        {"user": np.array([1.5, 2.5, 3.5])},
        {"item": np.array([1, 2, 3])},
        {"item": np.array([["a", "b"]] * 3)},
        {"user": np.arange(2)},
    ],
)
def test_errors_are_those_of_eager_execution(ranker, change):
    raw = batch(3) | change
    with pytest.raises((SchemaError, tf.errors.InvalidArgumentError, ValueError)) as expected:
        eager(ranker, raw)
    with pytest.raises(expected.type) as caught:
        ranker.score(raw)
    assert str(caught.value) == str(expected.value)


def test_what_the_graph_does_not_take_is_computed_eagerly(ranker):
    raw = batch(3)
    expected = eager(ranker, raw)
    for change in (
        {"user": raw["user"].tolist()},
        {"user": raw["user"][:, None]},
    ):
        np.testing.assert_allclose(ranker.score(raw | change)["click"], eager(ranker, raw | change), atol=1e-6)
    np.testing.assert_allclose(ranker.score(raw)["click"], expected, atol=1e-6)


def test_a_recording_still_gets_the_weights(ranker):
    raw = batch(2)
    ranker.score(raw)
    with recording() as recorded:
        ranker.score(raw)
    assert recorded


def test_candidates(ranker):
    user = {name: value[:1] for name, value in batch(1).items() if name not in CANDIDATE}
    for count in (1, 9):
        items = {name: value for name, value in batch(count).items() if name in CANDIDATE}
        rows = {name: np.repeat(value, count, axis=0) for name, value in user.items()} | items
        scores = ranker.score_candidates(user, items)["click"]
        np.testing.assert_allclose(scores, ranker.score(rows)["click"], atol=1e-5)
    assert traced(ranker, "candidate_logits").experimental_get_tracing_count() == 1


def test_several_threads_and_a_compiled_network(ranker):
    other = Ranker.from_config(ranker.get_config())
    other.compile(jit_compile=True)
    network = other._compiled_network
    found = []
    raw = batch(4)
    threads = [threading.Thread(target=lambda: found.append(other.score(raw)["click"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(found, [eager(other, raw)] * 4, atol=1e-6)
    assert other._compiled_network is network
    operations = {node.op for node in traced(other).get_concrete_function().graph.as_graph_def().node}
    assert not any("Xla" in name for name in operations)
