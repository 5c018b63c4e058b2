"""Optimisers by name."""

from typing import Any

from tf_interformer._keras import keras
from tf_interformer.optimizers.lazy_adam import LazyAdam
from tf_interformer.optimizers.lazy_adamw import LazyAdamW
from tf_interformer.optimizers.row_wise_adagrad import RowWiseAdagrad
from tf_interformer.optimizers.sparse_adagrad import SparseAdagrad
from tf_interformer.optimizers.sparse_ftrl import SparseFtrl

CLASSES: dict[str, Any] = {
    "lazy_adam": LazyAdam,
    "lazy_adamw": LazyAdamW,
    "row_wise_adagrad": RowWiseAdagrad,
    "sparse_adagrad": SparseAdagrad,
    "sparse_ftrl": SparseFtrl,
}


def get(identifier: Any = None, **config: Any) -> Any:
    """Returns an optimizer.

    Args:
        identifier: str, dict or optimizer. A name of this package or of Keras, the Keras config of an optimizer, or an
            optimizer, which is returned as it is. Defaults to `None`: `"lazy_adam"`.
        **config: Arguments for the constructor of an optimizer that is given by name.

    Raises:
        ValueError: If the name is unknown, or arguments come with something that is not a name.

    Example:

    >>> get("lazy_adam", beta_1=0.5).beta_1
    0.5
    """
    if identifier is None:
        identifier = "lazy_adam"
    if isinstance(identifier, str):
        if identifier in CLASSES:
            return CLASSES[identifier](**config)
        try:
            found = keras.optimizers.get(identifier)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"An optimizer must be one of Keras or one of {', '.join(sorted(CLASSES))}. Received: {identifier!r}"
            ) from error
        return type(found)(**config)
    if config:
        raise ValueError(f"Only an optimizer given by name takes arguments. Received: {sorted(config)}")
    return keras.saving.deserialize_keras_object(identifier) if isinstance(identifier, dict) else identifier
