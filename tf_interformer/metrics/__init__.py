"""Ranking metrics: exact ones in NumPy for a whole evaluation, streaming ones for `compile(metrics=...)`.

The NumPy functions import neither Keras nor TensorFlow, so a report on saved predictions starts at once;
the two Keras classes are loaded when first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tf_interformer.metrics.discounted_gain import ndcg
from tf_interformer.metrics.entropy import log_loss, normalized_entropy
from tf_interformer.metrics.grouped_auc import GroupedAUC, gauc, grouped_auc
from tf_interformer.metrics.reciprocal_rank import mrr
from tf_interformer.metrics.reliability import (
    calibration_ratio,
    expected_calibration_error,
    reliability_table,
)
from tf_interformer.metrics.roc_auc import auc
from tf_interformer.metrics.summary import ranking_metrics

if TYPE_CHECKING:
    from tf_interformer.metrics.streaming_calibration import Calibration
    from tf_interformer.metrics.streaming_entropy import NormalizedEntropy

__all__ = [
    "Calibration",
    "GroupedAUC",
    "NormalizedEntropy",
    "auc",
    "calibration_ratio",
    "expected_calibration_error",
    "gauc",
    "grouped_auc",
    "log_loss",
    "mrr",
    "ndcg",
    "normalized_entropy",
    "ranking_metrics",
    "reliability_table",
]

# One submodule per class; no submodule may bear the name of a public function, or importing it would hide it.
_STREAMING = {"Calibration": "streaming_calibration", "NormalizedEntropy": "streaming_entropy"}


def __getattr__(name: str) -> Any:
    if name in _STREAMING:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_STREAMING[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_STREAMING})
