"""Reading attention weights out of layers that compute them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tf_interformer._keras import ops
from tf_interformer.layers._common import Tensor

Recorded = dict[Any, NDArray[np.floating]]
_RECORDED: ContextVar[Recorded | None] = ContextVar("recorded", default=None)


@contextmanager
def recording() -> Iterator[Recorded]:
    """Within it, every attention layer that runs eagerly in this thread leaves its weights in the yielded dict.

    The keys are the layers, the values arrays `[B, H, Q, K]`; of a layer that runs twice the later weights stay.
    """
    recorded: Recorded = {}
    token = _RECORDED.set(recorded)
    try:
        yield recorded
    finally:
        _RECORDED.reset(token)


def is_recording() -> bool:
    """Whether attention weights are wanted."""
    return _RECORDED.get() is not None


def record(layer: Any, weights: Tensor | Callable[[], Tensor]) -> None:
    """Leaves the attention weights `[B, H, Q, K]` of a layer, or of what returns them, in an open `recording`."""
    recorded = _RECORDED.get()
    if recorded is None:
        return
    try:
        values = ops.convert_to_numpy(weights() if callable(weights) else weights)
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return  # traced, not computed
    recorded[layer] = values if values.dtype == np.float64 else values.astype(np.float32)
