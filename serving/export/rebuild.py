"""The same ranker, stored otherwise."""

from typing import Any

import numpy as np
import tensorflow as tf

from tf_interformer._keras import ops
from tf_interformer.ranker import Ranker


def for_serving(ranker: Ranker) -> Ranker:
    """The ranker itself, or a copy in float32 where it computes in half precision."""
    return rebuilt(ranker) if "float16" in ranker.compute_dtype else ranker


def rebuilt(ranker: Ranker, **embedding: Any) -> Ranker:
    """A copy in float32 with the same weights.

    Args:
        ranker: `Ranker`.
        **embedding: Arguments of `TokenEmbedder` that are to be different: `table_dtype`.
    """
    config = ranker.get_config()
    schema = config.pop("schema")
    config = {**_in_float32(config), "schema": schema}
    config["embedding"] = {**config["embedding"], **embedding}
    copy = type(ranker).from_config(config)
    for source, target in zip(ranker.weights, copy.weights, strict=True):
        target.assign(ops.cast(ops.convert_to_tensor(source), target.dtype))
    return copy


def weight_bytes(ranker: Ranker) -> int:
    """What the weights take in memory and on disk."""
    return sum(int(np.prod(tuple(weight.shape))) * tf.as_dtype(weight.dtype).size for weight in ranker.weights)


def _in_float32(config: Any) -> Any:
    if isinstance(config, dict):
        return {k: "float32" if k == "dtype" and _is_half(v) else _in_float32(v) for k, v in config.items()}
    return [_in_float32(value) for value in config] if isinstance(config, (list, tuple)) else config


def _is_half(policy: Any) -> bool:
    """Whether a Keras config's dtype, a name or the config of a policy, is half precision or mixed."""
    name = (policy.get("config") or {}).get("name") if isinstance(policy, dict) else policy
    return isinstance(name, str) and "float16" in name
