"""The optimisers for tables learn the same on one replica and on two at the same global batch."""

import subprocess
import sys
from pathlib import Path

import pytest

# Logical devices must be made before TensorFlow starts, so this runs in a process of its own.
PROGRAM = """
import sys
import numpy as np
import tensorflow as tf

case = sys.argv[1]
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from tests.dense_gradients import dense
from tests.small_log import learned_schema, raw_batch
from tf_interformer import LazyAdam, LazyAdamW, Ranker, RowWiseAdagrad, SparseFtrl, TableOptimizer
from tf_interformer._keras import LEGACY, keras

# Adam's own epsilon lets the rounding of a gradient near zero decide a whole step.
MAKERS = {
    "lazy_adam": lambda: LazyAdam(1e-2, epsilon=1e-4, global_clipnorm=0.05),
    "float16": lambda: LazyAdam(1e-2, epsilon=1e-3),
    "both": lambda: TableOptimizer(
        LazyAdamW(keras.optimizers.schedules.ExponentialDecay(1e-2, 3, 0.5), weight_decay=0.1, epsilon=1e-4),
        keras.optimizers.AdamW(1e-2, weight_decay=0.1, epsilon=1e-4),
        clipnorm=0.05,
    ),
    "others": lambda: TableOptimizer(RowWiseAdagrad(1e-2), SparseFtrl(1e-2), clipvalue=0.01),
    "keras": lambda: keras.optimizers.Adam(1e-2, epsilon=1e-4),
}


def run(replicas, changed=lambda optimizer: optimizer):
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
    copies = [v for w in ranker.trainable_variables for v in [strategy.experimental_local_results(
        w if LEGACY else w.value)] if replicas == 2]
    for one, two in copies:
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    return losses, [np.asarray(w) for w in ranker.get_weights()] + state


if case == "float16":
    keras.mixed_precision.set_global_policy("mixed_float16")
    losses, weights = run(2)
    assert losses[-1] < 0.95 * losses[0], losses
    assert all(np.isfinite(w).all() for w in weights)
else:
    # Keras's own could be wrong in both: dense gradients say what is right.
    (losses, weights), (losses2, weights2) = run(1, dense) if case == "keras" else run(1), run(2)
    np.testing.assert_allclose(losses2, losses, rtol=1e-5)
    for one, two in zip(weights, weights2, strict=True):
        np.testing.assert_allclose(two, one, atol=1e-5)
print("equal")
"""


@pytest.mark.parametrize("case", ["both", "others", "float16", "keras"])
def test_two_replicas_equal_one(case):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, case],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert run.stdout.strip() == "equal", run.stderr[-3000:]
