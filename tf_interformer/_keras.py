"""Which Keras this process runs on: Keras 3, or tf_keras where TF_USE_LEGACY_KERAS says so.

`keras` is that Keras, `ops` is `keras.ops` of Keras 3 in both cases, `register` makes a class or function
loadable by name, `LEGACY` tells which Keras was taken.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar

from tf_interformer._tensorflow import without_tensorflow

T = TypeVar("T")

# The same three spellings that TensorFlow itself accepts (tensorflow/python/util/lazy_loader.py).
LEGACY: bool = os.environ.get("TF_USE_LEGACY_KERAS") in ("true", "True", "1")


def _require_tensorflow(backend: str) -> None:
    if LEGACY and backend != "tensorflow":
        raise ImportError(
            "With TF_USE_LEGACY_KERAS set, tf_interformer computes with `keras.ops` on TensorFlow tensors, so "
            "the backend of Keras 3 must be TensorFlow: unset KERAS_BACKEND or set it to 'tensorflow'. "
            f"Received: KERAS_BACKEND={backend!r}"
        )


# Once before the import, which would fail less clearly, and once after it, for ~/.keras/keras.json.
_require_tensorflow(os.environ.get("KERAS_BACKEND") or "tensorflow")

try:
    import keras as _keras3
except ModuleNotFoundError as error:
    if error.name != "tensorflow":
        raise
    raise without_tensorflow(error) from error

_require_tensorflow(_keras3.backend.backend())

keras: Any = _keras3
ops: Any = _keras3.ops

if LEGACY:
    import tf_keras

    keras = tf_keras


def keras_backend() -> str:
    """Returns the backend that computes: `"tensorflow"`, `"jax"` or `"torch"`."""
    return str(_keras3.backend.backend())


def register(target: T) -> T:
    """Registers a class or function under the package name `tf_interformer`."""
    decorate: Callable[[T], T] = keras.saving.register_keras_serializable(package="tf_interformer")
    return decorate(target)


__all__ = ["LEGACY", "keras", "keras_backend", "ops", "register"]
