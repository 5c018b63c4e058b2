"""The same ranker in float32."""

from typing import Any

import numpy as np
import tensorflow as tf

from tf_interformer._keras import ops
from tf_interformer.ranker import Ranker


def for_serving(ranker: Ranker) -> Ranker:
    """The ranker itself, or a copy in float32 where it computes in half precision; its tables stay as they are."""
    return in_float32(ranker, ranker.embedder.table_dtype) if "float16" in ranker.compute_dtype else ranker


def in_float32(ranker: Ranker, table_dtype: str = "float32") -> Ranker:
    """A copy with the same weights that computes in float32; the ranker itself where it is one.

    Args:
        ranker: `Ranker`.
        table_dtype: What its embedding tables are stored in. Defaults to `"float32"`.
    """
    if ranker.compute_dtype == "float32" and ranker.embedder.table_dtype == table_dtype:
        return ranker
    config = ranker.get_config()
    schema = config.pop("schema")  # its dtypes are those of raw columns
    config = {**_in_float32(config), "schema": schema}
    config["embedding"] = {**config["embedding"], "table_dtype": table_dtype}
    copy: Ranker = type(ranker).from_config(config)
    for source, target in zip(ranker.weights, copy.weights, strict=True):
        target.assign(ops.cast(ops.convert_to_tensor(source), target.dtype))
    return copy


def weight_bytes(ranker: Ranker) -> int:
    """What the weights take in memory and on disk."""
    return sum(int(np.prod(tuple(weight.shape))) * tf.as_dtype(weight.dtype).size for weight in ranker.weights)


def _in_float32(config: Any) -> Any:
    if isinstance(config, dict):
        return {key: "float32" if key == "dtype" else _in_float32(value) for key, value in config.items()}
    return [_in_float32(value) for value in config] if isinstance(config, (list, tuple)) else config
