"""A `Ranker` learns the same on one replica and on two at the same global batch, and in mixed precision."""

import numpy as np
import pytest
import tensorflow as tf

from tests.small_log import learned_schema, raw_batch
from tf_interformer import Ranker
from tf_interformer._keras import LEGACY, keras

TASKS = ("click", "buy")


def learn(replicas, jit, weighting):
    keras.utils.set_random_seed(0)
    strategy = tf.distribute.MirroredStrategy([f"/cpu:{i}" for i in range(replicas)])
    with strategy.scope():
        config = {"num_layers": 1, "information_flow": "sole", "interaction": "dot"}
        ranker = Ranker(
            learned_schema(TASKS),
            backbone_config=config,
            embedding={"dim": 8},
            tower_units=(8,),
            task_weighting=weighting,
        )
        # Adam's own epsilon lets the rounding of a gradient near zero decide a whole step.
        ranker.compile(keras.optimizers.Adam(1e-2, epsilon=1e-4), jit_compile=jit)
    encode, raw = ranker.preprocessor, raw_batch(56, 3, TASKS)  # 16 + 16 + 16 + 8
    data = tf.data.Dataset.from_tensor_slices(raw).batch(16).map(lambda b: (encode(b), encode.labels(b)))
    losses = ranker.fit(data, epochs=2, verbose=0, shuffle=False).history["loss"]
    return losses, [np.asarray(w) for w in ranker.get_weights()]


def compare(jit, weighting):
    (losses, weights), (losses2, weights2) = learn(1, jit, weighting), learn(2, jit, weighting)
    np.testing.assert_allclose(losses2, losses, rtol=1e-5)
    for one, two in zip(weights, weights2, strict=True):
        np.testing.assert_allclose(two, one, atol=1e-5)


@pytest.mark.parametrize(("jit", "weighting"), [(True, "fixed"), (False, "uncertainty")])
def test_two_replicas_equal_one(two_cpus, jit, weighting):
    two_cpus(compare, jit, weighting)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns(policy):
    before = keras.mixed_precision.global_policy() if LEGACY else keras.config.dtype_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        config = {"num_layers": 1, "information_flow": "sole", "interaction": "dot"}
        ranker = Ranker(learned_schema(), backbone_config=config, embedding={"dim": 8}, tower_units=(8,))
        ranker.compile(keras.optimizers.Adam(1e-2), jit_compile=True)
        encode, raw = ranker.preprocessor, raw_batch(56, 3)
        data = tf.data.Dataset.from_tensor_slices(raw).batch(16).map(lambda b: (encode(b), encode.labels(b)))
        losses = ranker.fit(data, epochs=6, verbose=0, shuffle=False).history["loss"]
        logits = ranker(next(iter(data))[0])
    finally:
        keras.mixed_precision.set_global_policy(before)
    assert all(logit.dtype == tf.float32 for logit in logits.values())
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0]
    scaled = isinstance(ranker.optimizer, keras.mixed_precision.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
