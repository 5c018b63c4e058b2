"""The optimisers for tables learn the same on one replica and on two at the same global batch."""

import numpy as np
import pytest
import tensorflow as tf

from tests.dense_gradients import dense
from tests.small_log import learned_schema, raw_batch
from tf_interformer import LazyAdam, LazyAdamW, Ranker, RowWiseAdagrad, SparseFtrl, TableOptimizer
from tf_interformer._keras import LEGACY, keras

# Adam's own epsilon lets the rounding of a gradient near zero decide a whole step.
MAKERS = {
    "float16": lambda: LazyAdam(1e-2, epsilon=1e-3),
    "both": lambda: TableOptimizer(
        LazyAdamW(keras.optimizers.schedules.ExponentialDecay(1e-2, 3, 0.5), weight_decay=0.1, epsilon=1e-4),
        keras.optimizers.AdamW(1e-2, weight_decay=0.1, epsilon=1e-4),
        clipnorm=0.05,
    ),
    "others": lambda: TableOptimizer(RowWiseAdagrad(1e-2), SparseFtrl(1e-2), clipvalue=0.01),
    "keras": lambda: keras.optimizers.Adam(1e-2, epsilon=1e-4),
}


def learn(case, replicas, changed=lambda optimizer: optimizer):
    keras.utils.set_random_seed(0)
    strategy = tf.distribute.MirroredStrategy([f"/cpu:{i}" for i in range(replicas)])
    with strategy.scope():
        config = {"num_layers": 1, "information_flow": "sole", "interaction": "dot"}
        ranker = Ranker(learned_schema(), backbone_config=config, embedding={"dim": 8}, tower_units=(8,))
        ranker.compile(changed(MAKERS[case]()), jit_compile=False)
    encode, raw = ranker.preprocessor, raw_batch(56, 3)  # 16 + 16 + 16 + 8
    data = tf.data.Dataset.from_tensor_slices(raw).batch(16).map(lambda b: (encode(b), encode.labels(b)))
    losses = ranker.fit(data, epochs=2 if case != "float16" else 12, verbose=0, shuffle=False).history["loss"]
    state = [np.asarray(v) for v in ranker.optimizer.variables if len(v.shape) == 2]
    for w in ranker.trainable_variables if replicas == 2 else []:
        one, two = strategy.experimental_local_results(w if LEGACY else w.value)
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    return losses, [np.asarray(w) for w in ranker.get_weights()] + state


def compare(case):
    # Keras's own could be wrong in both: dense gradients say what is right.
    losses, weights = learn(case, 1, dense) if case == "keras" else learn(case, 1)
    losses2, weights2 = learn(case, 2)
    np.testing.assert_allclose(losses2, losses, rtol=1e-5)
    for one, two in zip(weights, weights2, strict=True):
        np.testing.assert_allclose(two, one, atol=1e-5)


def learn_in_float16():
    before = keras.mixed_precision.global_policy() if LEGACY else keras.config.dtype_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        losses, weights = learn("float16", 2)
    finally:
        keras.mixed_precision.set_global_policy(before)
    assert losses[-1] < 0.95 * losses[0], losses
    assert all(np.isfinite(w).all() for w in weights)


@pytest.mark.parametrize("case", ["both", "others", "keras"])
def test_two_replicas_equal_one(two_cpus, case):
    two_cpus(compare, case)


def test_two_replicas_learn_in_float16(two_cpus):
    two_cpus(learn_in_float16)
