"""Click-through-rate ranking in Keras and TensorFlow: InterFormer, as layers and as a whole model."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tf_interformer.backbones import DualEnhancedAttentionNetwork, Hiformer, InterFormer
    from tf_interformer.callbacks import RankingMetrics
    from tf_interformer.embedding import TokenEmbedder
    from tf_interformer.evaluation import evaluate, predict
    from tf_interformer.optimizers import (
        LazyAdam,
        LazyAdamW,
        RowWiseAdagrad,
        SparseAdagrad,
        SparseFtrl,
        TableOptimizer,
    )
    from tf_interformer.preprocessing import Preprocessor
    from tf_interformer.ranker import Ranker
    from tf_interformer.requests import by_request
    from tf_interformer.sampling import downsample_negatives
    from tf_interformer.schema import Categorical, FeatureSchema, Label, Moment, Numeric, SchemaError, Sequence, Vector

__version__ = "0.1.0"

__all__ = [
    "Categorical",
    "DualEnhancedAttentionNetwork",
    "FeatureSchema",
    "Hiformer",
    "InterFormer",
    "Label",
    "LazyAdam",
    "LazyAdamW",
    "Moment",
    "Numeric",
    "Preprocessor",
    "Ranker",
    "RankingMetrics",
    "RowWiseAdagrad",
    "SchemaError",
    "Sequence",
    "SparseAdagrad",
    "SparseFtrl",
    "TableOptimizer",
    "TokenEmbedder",
    "Vector",
    "by_request",
    "downsample_negatives",
    "evaluate",
    "predict",
]

# Loaded when first named: `tf_interformer.metrics` alone needs neither Keras nor TensorFlow.
_MODULES = {
    "backbones": ("DualEnhancedAttentionNetwork", "Hiformer", "InterFormer"),
    "callbacks": ("RankingMetrics",),
    "embedding": ("TokenEmbedder",),
    "evaluation": ("evaluate", "predict"),
    "optimizers": ("LazyAdam", "LazyAdamW", "RowWiseAdagrad", "SparseAdagrad", "SparseFtrl", "TableOptimizer"),
    "preprocessing": ("Preprocessor",),
    "ranker": ("Ranker",),
    "requests": ("by_request",),
    "sampling": ("downsample_negatives",),
    "schema": ("Categorical", "FeatureSchema", "Label", "Moment", "Numeric", "SchemaError", "Sequence", "Vector"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
