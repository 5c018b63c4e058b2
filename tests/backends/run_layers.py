"""Runs every layer and backbone on the backend that KERAS_BACKEND names and writes what comes out.

`python -m tests.backends.run_layers FILE` writes an `.npz` of outputs and gradients, by case. The weights come from
NumPy, so that another backend must write the same numbers.
"""

import sys
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from tests.backbones.case import batch
from tests.layers.test_contract import CASES
from tf_interformer import backbones, layers
from tf_interformer.layers._common import build_sublayer

rng = np.random.default_rng(0)
TOKENS = rng.normal(size=(4, 5, 8)).astype("float32")
IDS = rng.integers(0, 90, (4, 5)).astype("int32")
COMBO = {"num_heads": 2, "combo_config": {"codebook_size": 50}}
MORE = {
    "heterogeneous_attention": (layers.HeterogeneousAttention, {"num_heads": 2}, TOKENS),
    "composite_attention": (layers.CompositeAttention, {"num_heads": 2, "rank_k": 3, "num_queries": 2}, TOKENS),
    "heterogeneous_feed_forward": (layers.HeterogeneousFeedForward, {}, TOKENS),
    "hiformer_interaction": (layers.HiformerInteraction, {"num_layers": 2, "num_heads": 2}, TOKENS),
    "dual_enhanced_attention": (layers.DualEnhancedAttention, COMBO, {"tokens": TOKENS, "ids": IDS}),
    "interformer": (backbones.InterFormer, {"num_layers": 2, "num_heads": 2}, batch()),
    "interformer_sole": (backbones.InterFormer, {"information_flow": "sole"}, batch()),
    "hiformer": (backbones.Hiformer, {"num_heads": 2, "tasks": ["click", "like"]}, batch()),
    "dual_enhanced_attention_network": (backbones.DualEnhancedAttentionNetwork, COMBO, {**batch(), "ids": IDS}),
}
LARGE = ("dual_enhanced_attention", "hiformer", "interformer")  # they stand above, smaller
for name in sorted({*backbones.names()} - {*LARGE}):
    targets = {"targets": {"a": [0, 1], "b": [2]}} if backbones.needs_targets(name) else {}
    MORE[name] = (partial(backbones.get, name), {"tasks": ["click"], **targets}, {**batch(), "ids": IDS})


def set_weights(layer: Any) -> None:
    random = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign(random.normal(0.0, 0.3, weight.shape).astype("float32"))


def loss_of(outputs: Any) -> Any:
    floats = [y for y in tree.flatten(outputs) if "float" in keras.backend.standardize_dtype(y.dtype)]
    return sum(ops.sum(ops.square(y)) for y in floats)


def on_jax(layer: Any, inputs: Any) -> tuple[Any, list[Any]]:
    import jax

    def loss(weights: list[Any]) -> Any:
        others = [v.value for v in layer.non_trainable_variables]
        outputs = layer.stateless_call(weights, others, inputs)[0]
        return loss_of(outputs), outputs

    # Compiled at once: JAX compiles every operation of an eager call by itself.
    if isinstance(layer, backbones.TransAct):
        # Less optimised, XLA computes twice what a maximum is taken of, not to the last bit alike, and loses gradients.
        jax.config.update("jax_disable_most_optimizations", False)
    gradients, outputs = jax.jit(jax.grad(loss, has_aux=True))([w.value for w in layer.trainable_variables])
    return outputs, gradients


def on_tensorflow(layer: Any, inputs: Any) -> tuple[Any, list[Any]]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        outputs = layer(inputs)
        loss = loss_of(outputs)
    return outputs, [tf.convert_to_tensor(g) for g in tape.gradient(loss, [w.value for w in layer.trainable_variables])]


def on_torch(layer: Any, inputs: Any) -> tuple[Any, list[Any]]:
    outputs = layer(inputs)
    if layer.trainable_variables:
        loss_of(outputs).backward()
    return outputs, [w.value.grad for w in layer.trainable_variables]


RUN = {"jax": on_jax, "tensorflow": on_tensorflow, "torch": on_torch}


def one_of_each() -> dict[str, Any]:
    """The first case of every layer, and MORE: JAX compiles each for a second or two."""
    first: dict[Any, str] = {}
    for name, (kind, _, _) in CASES.items():
        first.setdefault(kind, name)
    return {name: CASES[name] for name in first.values()} | MORE


def outputs_and_gradients() -> dict[str, Any]:
    run = RUN[keras.backend.backend()]
    written = {}
    for name, (kind, arguments, inputs) in one_of_each().items():
        layer = kind(**arguments)
        inputs = tree.map_structure(ops.convert_to_tensor, inputs)
        shapes = tree.map_structure(lambda x: tuple(x.shape), inputs)
        build_sublayer(layer, shapes)
        set_weights(layer)
        outputs, gradients = run(layer, inputs)
        for i, y in enumerate(tree.flatten(outputs)):
            written[f"{name}/output_{i}"] = ops.convert_to_numpy(y)
        for weight, g in zip(layer.trainable_variables, gradients, strict=True):
            written[f"{name}/gradient of {weight.path}"] = ops.convert_to_numpy(g)
        clone = type(layer).from_config(layer.get_config())
        build_sublayer(clone, shapes)
        assert [w.shape for w in clone.weights] == [w.shape for w in layer.weights], name
    return written


if __name__ == "__main__":
    np.savez(sys.argv[1], **outputs_and_gradients())
