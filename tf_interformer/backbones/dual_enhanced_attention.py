"""A Transformer of Dual Enhanced Attention."""

import json
from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.backbones.base import Backbone, State, sequences_of
from tf_interformer.layers._common import Tensor, build_sublayer, rows_of, stack_tokens, tokens_shape
from tf_interformer.layers.interactions.dual_enhanced_attention import DualEnhancedAttentionInteraction
from tf_interformer.layers.sequence_pooling import SequencePooling
from tf_interformer.tokens import Tokens


@register
class DualEnhancedAttentionNetwork(Backbone):
    """Layers of Dual Enhanced Attention over all tokens, which are then flattened (arXiv 2503.11233).

    The paper says that its attention stands in a Transformer over feature fields. Ours: the tokens are normalised on
    entry; each behaviour sequence is pooled to tokens, which have no ids; and all tasks share the flattened tokens.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. Defaults to `2`.
        num_heads: int. Must divide the embedding width. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width of each layer's MLP; `None` for four times the embedding width. Defaults
            to `None`.
        ffn_activation: str or callable. Defaults to `"swish"`.
        dropout: float. Rate after each attention and MLP. Defaults to `0.0`.
        combo: bool. Whether pairs of ids are remembered. Defaults to `True`.
        collapse_avoiding: bool. Whether pairs of collapsed fields are filtered. Defaults to `True`.
        fusion: str. `"gated"`, `"weighted_sum"` or `"multiply"`, see `DualEnhancedAttention`. Defaults to `"gated"`.
        value_embedding: bool. Add the pairs' own embeddings to the attention's output. Defaults to `False`.
        combo_config: dict or `None`. Further arguments of `ComboIdAttention`. Every layer has codebooks of its own.
            Defaults to `None`.
        collapse_config: dict or `None`. Arguments of `CollapseAvoidingAttention`. Defaults to `None`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        num_sequence_tokens: int. Tokens per sequence. Defaults to `1`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]},
        "ids": [batch, N]}`; without `combo` no ids are needed.
    Output: `{task: [batch, (N + sequences * num_sequence_tokens) * dim]}`.

    Raises:
        ValueError: If an argument is out of range, or `combo` has no ids.

    Example:

    >>> network = DualEnhancedAttentionNetwork(tasks=["click"], combo_config={"codebook_size": 1000})
    >>> network({
    ...     "features": np.ones((3, 20, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 48), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ...     "ids": np.ones((3, 20), "int32"),
    ... })["click"].shape
    TensorShape([3, 336])

    Reference:
        [Dual Enhanced Attention, arXiv 2503.11233](https://arxiv.org/abs/2503.11233)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_layers: int = 2,
        num_heads: int = 4,
        ffn_dim: int | None = None,
        ffn_activation: Any = "swish",
        dropout: float = 0.0,
        combo: bool = True,
        collapse_avoiding: bool = True,
        fusion: str = "gated",
        value_embedding: bool = False,
        combo_config: dict[str, Any] | None = None,
        collapse_config: dict[str, Any] | None = None,
        sequence_pooling: str = "mean",
        num_sequence_tokens: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        interaction = DualEnhancedAttentionInteraction(
            num_layers=num_layers,
            num_heads=num_heads,
            ffn_dim=ffn_dim,
            ffn_activation=ffn_activation,
            dropout=dropout,
            combo=combo,
            collapse_avoiding=collapse_avoiding,
            fusion=fusion,
            value_embedding=value_embedding,
            combo_config=combo_config,
            collapse_config=collapse_config,
            norm_epsilon=self.norm_epsilon,
            dtype=self.dtype_policy,
            name="interaction",
        )
        # As text, because tf_keras would wrap a dict into something that no longer serialises.
        config = interaction.get_config()
        self._config = json.dumps({k: v for k, v in config.items() if k not in ("name", "dtype", "trainable")})
        self.interaction = interaction
        self._combo = combo
        self.sequence_pooling = sequence_pooling
        self.num_sequence_tokens = num_sequence_tokens
        SequencePooling(1, sequence_pooling, num_sequence_tokens)  # checks the two

    def build(self, input_shape: Any) -> None:
        batch, tokens, width = self._tokens_shape(input_shape)
        self.pooling = None
        if input_shape["sequences"]:
            self.pooling = SequencePooling(
                width, self.sequence_pooling, self.num_sequence_tokens, dtype=self.dtype_policy, name="pooling"
            )
            build_sublayer(self.pooling, sequences_of(input_shape))
        shape = (batch, tokens, width)
        self.entry_norm = self.make_norm("entry_norm")
        build_sublayer(self.entry_norm, shape)
        build_sublayer(self.interaction, shape)
        super().build(input_shape)

    def user_side(self, tokens: Tokens, training: bool | None = None) -> State:
        return {} if self.pooling is None else {"pooled": self.pooling(sequences_of(tokens))}

    def candidate_side(
        self, tokens: Tokens, state: State, row: Tensor | None = None, training: bool | None = None
    ) -> dict[str, Tensor]:
        x = stack_tokens(tokens["features"])
        if self.pooling is not None:
            x = ops.concatenate([x, rows_of(state["pooled"], row)], axis=1)
        x = self.entry_norm(x)
        count, width = x.shape[1:]
        joined = x
        if self._combo and "ids" in tokens:
            ids = ops.cast(tokens["ids"], "int32")
            joined = {"tokens": x, "ids": ops.pad(ids, ((0, 0), (0, count - ids.shape[1])))}
        x = self.interaction(joined, training=training)
        return self.for_each_task(ops.reshape(x, (-1, count * width)))

    def token_names(self, feature_names: Sequence[str], sequence_names: Sequence[str]) -> list[str]:
        """Returns the names of all tokens in their order: features, sequences."""
        several = self.num_sequence_tokens > 1
        sequences = [
            f"{name}_{i}" if several else name
            for name in sorted(sequence_names)
            for i in range(self.num_sequence_tokens)
        ]
        return [*feature_names, *sequences]

    def _tokens_shape(self, input_shape: Any) -> tuple[Any, int, int]:
        batch, tokens, width = tokens_shape(input_shape["features"])
        return batch, (tokens or 0) + len(input_shape["sequences"]) * self.num_sequence_tokens, width or 0

    def representation_size(self, input_shape: Any) -> int:
        _, tokens, width = self._tokens_shape(input_shape)
        return tokens * width

    def compute_output_shape(self, input_shape: Any) -> dict[str, tuple[int | None, int]]:
        batch = self._tokens_shape(input_shape)[0]
        return dict.fromkeys(self.tasks, (batch, self.representation_size(input_shape)))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **json.loads(self._config),
            "sequence_pooling": self.sequence_pooling,
            "num_sequence_tokens": self.num_sequence_tokens,
        }
