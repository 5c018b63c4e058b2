"""Interactions of this package in a model of TensorFlow Recommenders."""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow_recommenders as tfrs

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers import interactions
from tf_interformer.layers._common import Shape, Tensor, build_sublayer, shape_of

# Layers of TFRS that take one vector, where the others take a list.
_OF_ONE_VECTOR = (tfrs.layers.feature_interaction.Cross, tfrs.layers.feature_interaction.MultiLayerDCN)


@register
class FeatureInteraction(keras.layers.Layer):
    """`feature_interaction=` of `tfrs.experimental.models.Ranking`, made of any interaction of this package.

    TFRS hands over a list of N vectors `[batch, dim]` and expects one vector per example; the tokens
    `[batch, N, dim]` that our interactions return are laid side by side. Several interactions, TFRS's own among
    them, see the same list, and their outputs are concatenated (an ensemble as in DHEN, arXiv 2203.11014).

    Args:
        interaction: str, dict, layer or list of these. Names in the registry of `layers.interactions`, Keras
            configs, or layers: ours, `tfrs.layers.feature_interaction.DotInteraction`, `Cross`, `MultiLayerDCN`, or
            any that takes a list of `[batch, dim]`. Layers are used as they are, not copied. Defaults to `"dhen"`.
        interaction_config: dict or `None`. Arguments for one interaction given by name. Defaults to `None`.

    Input shape: a list of N tensors `[batch, dim]`. Where TFRS has lost a shape (`Ranking` squeezes the embeddings,
        so that even the batch axis goes when the batch is of one example) it is restored.
    Output shape: `[batch, N * dim]` for each of our interactions, TFRS's own layout for its layers; concatenated.

    Raises:
        ValueError: If the list is empty, a name is unknown, or `interaction_config` has no name to belong to.

    Example:

    >>> interaction = FeatureInteraction("hiformer", {"num_heads": 2})
    >>> interaction([np.ones((3, 8), "float32")] * 5).shape
    TensorShape([3, 40])
    >>> both = FeatureInteraction(["cross", tfrs.layers.feature_interaction.DotInteraction()])
    >>> both([np.ones((3, 8), "float32")] * 5).shape
    TensorShape([3, 50])

    Reference:
        [DLRM, arXiv 1906.00091](https://arxiv.org/abs/1906.00091), [DCN V2, arXiv
        2008.13535](https://arxiv.org/abs/2008.13535)
    """

    def __init__(
        self,
        interaction: Any | Sequence[Any] = "dhen",
        interaction_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if interaction_config and not isinstance(interaction, str):
            raise ValueError(
                "`interaction_config` belongs to one interaction given by name. "
                f"Received: interaction={interaction!r:.80}, interaction_config={interaction_config!r}"
            )
        given = list(interaction) if isinstance(interaction, (list, tuple)) else [interaction]
        if not given:
            raise ValueError("`interaction` must name at least one interaction. Received: an empty list")
        self.interactions = [self._make(one, interaction_config or {}) for one in given]

    def _make(self, interaction: Any, config: dict[str, Any]) -> Any:
        if isinstance(interaction, str):
            return interactions.get(interaction, dtype=self.dtype_policy, **config)
        return interactions.get(interaction)

    def build(self, input_shape: Any) -> None:
        shape = _vector_shape(input_shape)
        for layer in self.interactions:
            if not layer.built and _is_ours(layer):  # others build themselves when they are first called
                build_sublayer(layer, [shape] * len(input_shape))
        super().build(input_shape)

    def call(self, inputs: list[Tensor]) -> Tensor:
        if any(x.shape.rank != 2 for x in inputs):
            width = _vector_shape([x.shape for x in inputs])[1]
            inputs = [ops.reshape(x, (-1, width)) for x in inputs]
        parts = []
        for layer in self.interactions:
            mixed = layer(ops.concatenate(inputs, axis=1) if isinstance(layer, _OF_ONE_VECTOR) else inputs)
            mixed = ops.cast(mixed, self.compute_dtype)
            parts.append(ops.reshape(mixed, (-1, math.prod(mixed.shape[1:]))) if len(mixed.shape) > 2 else mixed)
        return ops.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]

    def compute_output_shape(self, input_shape: Any) -> Shape:
        shape = _vector_shape(input_shape)
        number, width = len(input_shape), shape[1] or 0
        total = 0
        for layer in self.interactions:
            one = isinstance(layer, _OF_ONE_VECTOR)
            made = (shape[0], number * width) if one else layer.compute_output_shape([shape] * number)
            total += math.prod(shape_of(made)[1:])  # type: ignore[arg-type]
        return (shape[0], total)

    def get_config(self) -> dict[str, Any]:
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.interactions]
        return {**super().get_config(), "interaction": layers}


def _is_ours(layer: Any) -> bool:
    return type(layer).__module__.startswith("tf_interformer.")


def _vector_shape(shapes: Any) -> Shape:
    """`(batch, dim)` of all vectors, from those whose shape is known."""
    known = [shape_of(shape) for shape in shapes if getattr(shape, "rank", 2) is not None]
    found = [shape for shape in known if len(shape) == 2 and shape[1] is not None]
    widths = {shape[-1] for shape in known if shape} - {None}
    if not found or len(widths) != 1:
        raise ValueError(f"The features must be vectors [batch, dim] of equal, known dim. Received: shapes {shapes}")
    return (found[0][0], found[0][1])
