"""`fit` takes what Keras users pass: generators, `Sequence` or `PyDataset`, datasets without shapes, ragged ones."""

import numpy as np
import pytest
import tensorflow as tf

from tests.small_log import learned_schema, raw_batch
from tf_interformer._keras import LEGACY, keras
from tf_interformer.ranker import Ranker

BATCHES = [raw_batch(16, seed) for seed in range(3)]


def made():
    keras.utils.set_random_seed(0)
    ranker = Ranker(learned_schema(), "fm", embedding={"dim": 8}, tower_units=(4,))  # the quickest to trace
    ranker.compile("sgd", jit_compile=False)
    return ranker


def encoded(ranker):
    return [ranker.preprocessor.training_batch(raw) for raw in BATCHES]


def as_numpy(batch):
    return tf.nest.map_structure(lambda value: value.numpy(), batch)


class Batches(keras.utils.Sequence if LEGACY else keras.utils.PyDataset):
    def __init__(self, batches):
        if not LEGACY:
            super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def without_shapes(batches):
    types = tf.nest.map_structure(lambda value: tf.convert_to_tensor(value).dtype, batches[0])
    return tf.data.Dataset.from_generator(lambda: iter(batches), output_types=types)


def ragged(raw):
    lists = {}
    for name, value in raw.items():
        if name.startswith(("viewed_", "bought_")) and not name.endswith("length"):
            length = raw[f"{name.split('_')[0]}_length"]
            value = tf.RaggedTensor.from_tensor(tf.convert_to_tensor(value), lengths=tf.cast(length, tf.int64))
        lists[name] = value
    return tf.data.Dataset.from_tensors(lists)


def ragged_batches():
    parts = [ragged(raw) for raw in BATCHES]
    return parts[0].concatenate(parts[1]).concatenate(parts[2])


WAYS = {
    "a generator": lambda ranker: (as_numpy(batch) for batch in encoded(ranker)),
    "a generator of tensors": lambda ranker: (batch for batch in encoded(ranker)),
    "Sequence or PyDataset": lambda ranker: Batches([as_numpy(batch) for batch in encoded(ranker)]),
    "a raw dataset without shapes": lambda ranker: without_shapes(BATCHES).map(ranker.preprocessor.training_batch),
    "an encoded dataset without shapes": lambda ranker: without_shapes([as_numpy(b) for b in encoded(ranker)]),
    "ragged": lambda ranker: ragged_batches().map(ranker.preprocessor.training_batch),
}


@pytest.fixture(scope="module")
def expected():
    """A weight after one pass over the batches, one after the other."""
    ranker = made()
    for batch in encoded(ranker):
        ranker.train_on_batch(*batch)
    return ranker.tower_click.trainable_weights[0].numpy()


@pytest.mark.parametrize("way", WAYS)
def test_fit_takes(way, expected):
    ranker = made()
    ranker.fit(WAYS[way](ranker), shuffle=False, steps_per_epoch=len(BATCHES), verbose=0)
    np.testing.assert_allclose(ranker.tower_click.trainable_weights[0].numpy(), expected, rtol=1e-4, atol=1e-6)


def test_evaluate_and_predict_take_a_dataset_without_shapes():
    ranker = made()
    batches = [as_numpy(batch) for batch in encoded(ranker)]
    steps = len(batches)
    found = ranker.evaluate(without_shapes(batches), steps=steps, verbose=0)
    np.testing.assert_allclose(found, ranker.evaluate(Batches(batches), verbose=0), rtol=1e-5)
    found = ranker.predict(without_shapes([inputs for inputs, _ in batches]), steps=steps, verbose=0)["click"]
    expected = np.concatenate([ranker.predict_on_batch(inputs)["click"] for inputs, _ in batches])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_class_weight():
    """As a weight of each example."""
    ranker = made()
    inputs, labels = encoded(ranker)[0]
    weights = np.where(labels["click"].numpy()[:, 0] > 0, 5.0, 0.5)
    by_class = ranker.fit(inputs, labels["click"].numpy(), class_weight={0: 0.5, 1: 5.0}, verbose=0).history["loss"]
    again = made()
    by_example = again.fit(inputs, labels["click"].numpy(), sample_weight=weights, verbose=0).history["loss"]
    np.testing.assert_allclose(by_class, by_example, rtol=1e-5)
