"""The few functions of arrays by which a schema encodes a raw batch, once for NumPy and TensorFlow alike."""

from tf_interformer.arrays.protocol import Array, Arrays

__all__ = ["Array", "Arrays"]
