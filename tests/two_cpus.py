"""What the processes of the fixture `two_cpus` begin with; nothing is computed by importing it."""

import tensorflow as tf

import tf_interformer  # noqa: F401 - for all of them at once


def divide() -> None:
    """Divides the processor into two logical devices, which must be done before TensorFlow starts."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
