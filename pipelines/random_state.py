"""Where the random generators of a model stand: dropout goes on after a kill as if there had been none."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tf_interformer._keras import LEGACY, keras
from tf_interformer.ranker import Ranker


def use_generators() -> None:
    """Let dropout draw from generators whose state can be saved; to be called before a model is made or loaded.

    Keras 3 has no others. Those of tf_keras are, by default, TensorFlow's own, whose state nobody can read.
    """
    if LEGACY:
        keras.backend.experimental.enable_tf_random_generator()


def random_state(ranker: Ranker) -> list[list[int]]:
    """The state of every generator of a model, in an order that depends on the model's configuration alone."""
    return [np.asarray(variable).tolist() for variable in _states(ranker)]


def set_random_state(ranker: Ranker, states: list[list[int]]) -> None:
    """Put every generator where `random_state` found it.

    Raises:
        ValueError: The model has not so many generators.
    """
    for variable, state in zip(_states(ranker), states, strict=True):
        variable.assign(np.array(state, np.asarray(variable).dtype))


def _states(ranker: Ranker) -> Iterator[Any]:
    if not LEGACY:
        yield from (variable for variable in ranker.variables if variable.name == "seed_generator_state")
        return
    for layer in ranker.submodules:
        generator = getattr(layer, "_random_generator", None)
        if isinstance(layer, keras.layers.Layer) and generator is not None:
            generator._maybe_init()  # Keras does so at the first call
            yield generator._generator.state
