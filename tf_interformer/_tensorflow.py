"""TensorFlow, imported when something of it is first asked for: most of the package does without it.

`tf` stands for the module. Where that cannot be imported, what is asked of `tf` raises the one error that says so.
"""

import sys
from importlib import import_module
from operator import attrgetter
from typing import Any


class _TensorFlow:
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python's own tools look for in any object
            raise AttributeError(name)
        try:
            module = import_module("tensorflow")
        except ImportError as error:
            raise without_tensorflow(error) from error
        return getattr(module, name)


tf: Any = _TensorFlow()


def without_tensorflow(error: ImportError) -> ImportError:
    """What is raised where TensorFlow is needed and cannot be imported."""
    return ImportError(
        "this needs TensorFlow: pip install tensorflow. Raw columns (Preprocessor, Ranker.score), tf.data, TensorFlow "
        "Recommenders and exported models do, and so does Keras 3 unless KERAS_BACKEND is 'jax' or 'torch'. There, the "
        "layers, the backbones, and a Ranker's fit, evaluate and predict on encoded arrays do without. "
        f"Received: {error}"
    )


def is_a(value: Any, name: str) -> bool:
    """Whether a value is of a class of TensorFlow's, such as `"data.Dataset"`: nothing is before that is imported.

    Example:

    >>> is_a(tf.constant(1), "Tensor"), is_a(1, "Tensor")
    (True, False)
    """
    module = sys.modules.get("tensorflow")
    return module is not None and isinstance(value, attrgetter(name)(module))


__all__ = ["is_a", "tf", "without_tensorflow"]
