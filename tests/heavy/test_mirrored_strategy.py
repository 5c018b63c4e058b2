"""A `Ranker` learns the same on one replica and on two at the same global batch."""

import subprocess
import sys
from pathlib import Path

import pytest

# Logical devices must be made before TensorFlow starts, so this runs in a process of its own.
PROGRAM = """
import sys
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from tests.small_log import learned_schema, raw_batch
from tf_interformer import Ranker
from tf_interformer._keras import keras


def run(replicas):
    keras.utils.set_random_seed(0)
    strategy = tf.distribute.MirroredStrategy([f"/cpu:{i}" for i in range(replicas)])
    with strategy.scope():
        config = {"num_layers": 1, "information_flow": "sole", "interaction": "dot"}
        ranker = Ranker(learned_schema(), backbone_config=config, embedding={"dim": 8}, tower_units=(8,))
        ranker.compile(keras.optimizers.Adam(1e-2), jit_compile=sys.argv[1] == "True")
    encode, raw = ranker.preprocessor, raw_batch(56, 3)  # 16 + 16 + 16 + 8
    data = tf.data.Dataset.from_tensor_slices(raw).batch(16).map(lambda b: (encode(b), encode.labels(b)))
    losses = ranker.fit(data, epochs=2, verbose=0, shuffle=False).history["loss"]
    return losses, [np.asarray(w) for w in ranker.get_weights()]


(losses, weights), (losses2, weights2) = run(1), run(2)
np.testing.assert_allclose(losses2, losses, rtol=1e-5)
for one, two in zip(weights, weights2, strict=True):
    np.testing.assert_allclose(two, one, atol=1e-5)
print("equal")
"""


@pytest.mark.parametrize("jit", [False, True])
def test_two_replicas_equal_one(jit):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(jit)],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert run.stdout.strip() == "equal", run.stderr[-2000:]
