"""Optimisers for models with large embedding tables: a step touches the rows of its batch, and no others."""

from tf_interformer.optimizers._registry import CLASSES, get
from tf_interformer.optimizers._summing_rows import summing_rows
from tf_interformer.optimizers.lazy_adam import LazyAdam
from tf_interformer.optimizers.lazy_adamw import LazyAdamW
from tf_interformer.optimizers.row_loss_scale_optimizer import RowLossScaleOptimizer
from tf_interformer.optimizers.row_wise_adagrad import RowWiseAdagrad
from tf_interformer.optimizers.sparse_adagrad import SparseAdagrad
from tf_interformer.optimizers.sparse_ftrl import SparseFtrl
from tf_interformer.optimizers.table_optimizer import TableOptimizer


def names() -> list[str]:
    """Returns the names that `get` knows beside those of Keras."""
    return sorted(CLASSES)


__all__ = [
    "LazyAdam",
    "LazyAdamW",
    "RowLossScaleOptimizer",
    "RowWiseAdagrad",
    "SparseAdagrad",
    "SparseFtrl",
    "TableOptimizer",
    "get",
    "names",
    "summing_rows",
]
