"""What the models have in common that know features alone."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import keras, ops
from tf_interformer.backbones.base import Backbone, State, sequences_of
from tf_interformer.layers._common import (
    Tensor,
    build_sublayer,
    check_choice,
    check_rate,
    check_units,
    rows_of,
    stack_tokens,
    tokens_shape,
)
from tf_interformer.layers.mlp import MLP
from tf_interformer.layers.sequence_pooling import POOLINGS, SequencePooling
from tf_interformer.tokens import Tokens


class InteractionOnly(Backbone):
    """Base of the models that see a behaviour sequence as one more token: its events pooled, then projected.

    A subclass implements `build_parts`, `interact` and `size`.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.
    """

    fewest_tokens = 2

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        sequence_pooling: str = "mean",
        entry_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.sequence_pooling = check_choice("sequence_pooling", sequence_pooling, POOLINGS)
        self.entry_norm = entry_norm

    def build_parts(self, tokens: int, width: int) -> None:
        """Makes and builds what `interact` needs for `[batch, tokens, width]`."""
        raise NotImplementedError

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        """Returns the representation `[batch, size]` of the tokens `[batch, tokens, width]`."""
        raise NotImplementedError

    def size(self, tokens: int, width: int) -> int:
        """Returns the width of the representation."""
        raise NotImplementedError

    def part(self, layer: Any, *shape: int) -> Any:
        """Builds a sub-layer for inputs `[batch, *shape]` and returns it."""
        build_sublayer(layer, (None, *shape))
        return layer

    def build(self, input_shape: Any) -> None:
        tokens, width = self._tokens(input_shape)
        if tokens < self.fewest_tokens:
            raise ValueError(
                f"{type(self).__name__} needs at least {self.fewest_tokens} tokens, features and sequences together. "
                f"Received: {tokens}"
            )
        self.pooling = None
        if input_shape["sequences"]:
            self.pooling = SequencePooling(width, self.sequence_pooling, dtype=self.dtype_policy, name="pooling")
            build_sublayer(self.pooling, sequences_of(input_shape))
        if self.entry_norm:
            self.token_norm = self.part(self.make_norm("token_norm"), tokens, width)
        self.build_parts(tokens, width)
        super().build(input_shape)

    def user_side(self, tokens: Tokens, training: bool | None = None) -> State:
        return {} if self.pooling is None else {"pooled": self.pooling(sequences_of(tokens))}

    def joined(self, tokens: Tokens, state: State, row: Tensor | None) -> Tensor:
        """Returns the features' tokens and then the sequences', `[batch, tokens, width]`."""
        x = stack_tokens(tokens["features"])
        if self.pooling is not None:
            x = ops.concatenate([x, rows_of(state["pooled"], row)], axis=1)
        return self.token_norm(x) if self.entry_norm else x

    def candidate_side(
        self, tokens: Tokens, state: State, row: Tensor | None = None, training: bool | None = None
    ) -> dict[str, Tensor]:
        return self.for_each_task(self.interact(self.joined(tokens, state, row), training))

    def token_names(self, feature_names: Sequence[str], sequence_names: Sequence[str]) -> list[str]:
        """Returns the names of all tokens in their order: features, sequences."""
        return [*feature_names, *sorted(sequence_names)]

    def _tokens(self, input_shape: Any) -> tuple[int, int]:
        _, tokens, width = tokens_shape(input_shape["features"])
        return (tokens or 0) + len(input_shape["sequences"]), width or 0

    def representation_size(self, input_shape: Any) -> int:
        return self.size(*self._tokens(input_shape))

    def compute_output_shape(self, input_shape: Any) -> dict[str, tuple[int | None, int]]:
        batch = tokens_shape(input_shape["features"])[0]
        return dict.fromkeys(self.tasks, (batch, self.representation_size(input_shape)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sequence_pooling": self.sequence_pooling,
            "entry_norm": self.entry_norm,
        }


class WithDeepPart(InteractionOnly):
    """Base of the models that have an MLP of their own, beside or behind their interactions.

    Args:
        tasks, sequence_pooling, entry_norm: See `InteractionOnly`.
        deep_units: list of int. Hidden layers of the MLP; without any there is none. Defaults to `()`.
        deep_activation: str or callable. After each of them. Defaults to `"relu"`.
        dropout: float. Rate between them. Defaults to `0.0`.
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        deep_units: Sequence[int] = (),
        deep_activation: Any = "relu",
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.deep_units = check_units("deep_units", deep_units)
        self.deep_activation = keras.activations.get(deep_activation)
        self.dropout = check_rate("dropout", dropout)

    def build_deep(self, size: int) -> None:
        """Makes the MLP for an input of this width."""
        self.deep = None
        if self.deep_units:
            act = self.deep_activation
            mlp = MLP(self.deep_units, act, act, dropout=self.dropout, dtype=self.dtype_policy, name="deep")
            self.deep = self.part(mlp, size)

    def beside(self, parts: list[Tensor], deep_input: Tensor, training: bool | None) -> Tensor:
        """Returns the parts and what the MLP makes of its input, side by side."""
        if self.deep is not None:
            parts = [*parts, self.deep(deep_input, training=training)]
        return ops.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]

    def deep_size(self) -> int:
        return self.deep_units[-1] if self.deep_units else 0

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "deep_units": list(self.deep_units),
            "deep_activation": keras.activations.serialize(self.deep_activation),
            "dropout": self.dropout,
        }


def flatten(tokens: Tensor) -> Tensor:
    """Returns `[batch, tokens * width]`."""
    count, width = tokens.shape[1:]
    return ops.reshape(tokens, (-1, count * width))
