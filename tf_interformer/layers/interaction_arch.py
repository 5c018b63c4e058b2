"""The arch that lets the features interact."""

import json
from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers import interactions
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_choice,
    check_rate,
    check_units,
    small,
    tokens_shape,
)
from tf_interformer.layers._shared_tokens import SharedTokens
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.linear_compression import LinearCompression
from tf_interformer.layers.mlp import MLP


@register
class InteractionArch(WithSoftNorms):
    """Interaction Arch of InterFormer: `X' = MLP(Interaction([X || S_sum]))` (Eq. 7), of the shape of `X`.

    With `residual=True`, which the paper does not print, `X' = LN(X + MLP(...))`.

    Args:
        interaction: str, dict or layer. The interaction: a name such as `"dot"`, `"dcn_v2"` or `"dhen"`, the Keras
            config of a layer or a layer, of which a copy is taken. It maps `[batch, tokens, dim]` to the same
            shape. Defaults to `"dhen"`.
        interaction_config: dict or `None`. Arguments for an interaction given by name. Defaults to `None`.
        mlp: str. `"flatten"` maps all numbers of an example through one MLP, `"lce"` mixes tokens linearly with
            weights shared over the embedding axis (far fewer weights). Defaults to `"flatten"`.
        mlp_units: list of int. Hidden layers of the flattened MLP. Defaults to `()`.
        dropout: float. Rate after the MLP. Defaults to `0.0`.
        residual: bool. Add the input and normalise. Defaults to `True`.
        norm_epsilon: float. What the norm adds to the variance, and those of the interaction where residuals join,
            unless `interaction_config` says otherwise; see `Backbone`. Defaults to `1.0`.

    Input: `{"features": [batch, N, dim], "summary": [batch, M, dim]}`, or the features alone. With `"ids"`, int
        `[batch, n]` for the first `n` of the features, an interaction that has `needs_ids = True` is called with
        `{"tokens": [batch, N + M, dim], "ids": [batch, N + M]}`, in which further tokens have id 0.
        With `"shared"`, `[R, S, dim]`, tokens of R users stand behind all others; `"row"`, int `[batch]`, says whose
        each example is, else R is the batch. An interaction that has `takes_shared = True` is called with `{"tokens":
        [batch, N + M, dim], "shared": [R, S, dim], "row": [batch]}` and computes once what belongs to these alone.
    Output shape: `[batch, N, dim]`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> arch = InteractionArch("dcn_v2")
    >>> arch({"features": np.ones((2, 20, 16), "float32"), "summary": np.ones((2, 8, 16), "float32")}).shape
    TensorShape([2, 20, 16])

    Reference:
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    def __init__(
        self,
        interaction: Any = "dhen",
        interaction_config: dict[str, Any] | None = None,
        mlp: str = "flatten",
        mlp_units: Sequence[int] = (),
        dropout: float = 0.0,
        residual: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # As text, because tf_keras would wrap a dict into something that no longer serialises.
        self._interaction = json.dumps(interactions.identifier_of(interaction, interaction_config))
        self._interaction_config = json.dumps(interaction_config)
        self.mlp_form = check_choice("mlp", mlp, ("flatten", "lce"))
        self.mlp_units = check_units("mlp_units", mlp_units)
        self.dropout = check_rate("dropout", dropout)
        self.residual = residual
        if mlp == "lce" and self.mlp_units:
            raise ValueError(f'`mlp_units` belongs to `mlp="flatten"`. Received: mlp="lce", mlp_units={mlp_units!r}')

    def build(self, input_shape: Any) -> None:
        batch, tokens, width = _features_shape(input_shape)
        own = tokens
        if "summary" in input_shape:
            own += tokens_shape(input_shape["summary"])[1] or 0
        total = own
        if "shared" in input_shape:
            total += tokens_shape(input_shape["shared"])[1] or 0
        policy = self.dtype_policy
        identifier = json.loads(self._interaction)
        config = {
            **self.norm_arguments(type(interactions.get(identifier))),
            **(json.loads(self._interaction_config) or {}),
        }
        self.interaction = interactions.get(identifier, **config, dtype=policy, name="interaction")
        given: Any = (batch, total, width)
        if total > own and self._takes_shared:
            given = {"tokens": (batch, own, width), "shared": input_shape["shared"]}
        build_sublayer(self.interaction, given)
        if self.mlp_form == "lce":
            self.mlp: Any = LinearCompression(tokens, dtype=policy, name="mlp")
            build_sublayer(self.mlp, (batch, total, width))
        else:
            last = small() if self.residual else None
            self.mlp = MLP((*self.mlp_units, tokens * width), final_kernel_initializer=last, dtype=policy, name="mlp")
            build_sublayer(self.mlp, (batch, total * width))
        self.dropout_layer = None
        if self.dropout:
            self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=policy, name="dropout")
            build_sublayer(self.dropout_layer, (batch, tokens, width))
        if self.residual:
            self.norm = self.make_norm("norm")
            build_sublayer(self.norm, (batch, tokens, width))
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        given = inputs if isinstance(inputs, dict) else {"features": inputs}
        features = given["features"]
        own = ops.concatenate([features, given["summary"]], axis=1) if "summary" in given else features
        mixed = self.interaction(self._tokens(own, given))
        if self.mlp_form == "flatten":
            mixed = ops.reshape(mixed, (-1, mixed.shape[1] * mixed.shape[2]))
        mixed = ops.reshape(self.mlp(mixed), (-1, *features.shape[1:]))
        if self.dropout_layer is not None:
            mixed = self.dropout_layer(mixed, training=training)
        return self.norm(features + mixed) if self.residual else mixed

    @property
    def _takes_shared(self) -> bool:
        return getattr(self.interaction, "takes_shared", False)

    def _tokens(self, own: Tensor, given: dict[str, Any]) -> Any:
        """All tokens, as the interaction takes them."""
        tokens = own
        if "shared" in given:
            if self._takes_shared:
                return {"tokens": own, **{name: given[name] for name in ("shared", "row") if name in given}}
            tokens = SharedTokens(own, given["shared"], given.get("row")).together()
        if "ids" in given and getattr(self.interaction, "needs_ids", False):
            ids = ops.cast(given["ids"], "int32")
            return {"tokens": tokens, "ids": ops.pad(ids, ((0, 0), (0, tokens.shape[1] - ids.shape[1])))}
        return tokens

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return _features_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "interaction": json.loads(self._interaction),
            "interaction_config": json.loads(self._interaction_config),
            "mlp": self.mlp_form,
            "mlp_units": list(self.mlp_units),
            "dropout": self.dropout,
            "residual": self.residual,
        }


def _features_shape(input_shape: Any) -> tuple[Any, int, int]:
    batch, tokens, width = tokens_shape(input_shape["features"] if isinstance(input_shape, dict) else input_shape)
    return batch, tokens or 0, width or 0
