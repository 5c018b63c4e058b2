"""Hiformer."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.backbones.base import Backbone, State, sequences_of
from tf_interformer.layers._common import (
    Tensor,
    build_sublayer,
    check_choice,
    check_positive,
    rows_of,
    stack_tokens,
    tokens_shape,
)
from tf_interformer.layers._hiformer_blocks import HiformerBlocks, Ranks
from tf_interformer.layers.sequence_pooling import POOLINGS, SequencePooling
from tf_interformer.tokens import Tokens


@register
class Hiformer(HiformerBlocks, Backbone):
    """Hiformer: a Transformer over feature tokens in which every feature has its own projections.

    The tokens are `[features || sequences || tasks]`: a learnable token for each task stands last, and the
    representation of a task is its token after the last layer. There are no positions. In the last layer only the
    task tokens are computed (last-layer pruning, section 3.5.2 of the paper); the scores are the same as without.

    Printed in the paper: task tokens, heterogeneous and composite projections, low rank, pruning, and a feed-forward
    network per token; `Hiformer.published` has its sizes. Ours: where the norms stand, that tokens are normalised on
    entry, that each behaviour sequence is pooled to tokens, ranks per layer, no biases in the attention.

    Args:
        tasks: list of str. Names of the tasks. Defaults to `("label",)`.
        num_layers: int. Defaults to `2`.
        attention: str. `"composite"` (Hiformer) or `"heterogeneous"` (the paper's HeteroAtt). Defaults to
            `"composite"`.
        num_heads: int. Must divide the embedding width unless `key_dim` and `value_dim` are given. Defaults to `4`.
        key_dim: int or `None`. `None` means the embedding width divided by the heads. Defaults to `None`.
        value_dim: int or `None`. `None` means the same. Defaults to `None`.
        rank_k: int, list or `None`. Rank of the composite queries and keys, one for all layers or one for each;
            `None` means full matrices. Defaults to `None`.
        rank_v: int, list or `None`. Rank of the composite values. Defaults to `None`.
        rank_per_head: bool. Ranks and factors for each head, not for all heads together. Defaults to `False`.
        composite_query: bool. Whether queries are composite too. Defaults to `True`.
        ffn_dim: int or `None`. Hidden width of the feed-forward networks; `None` means four times the embedding
            width. Defaults to `None`.
        activation: str or callable. Of the feed-forward networks. Defaults to `"gelu"`.
        norm: str. `"post"`, or `"pre"`, which ends with one more norm. Defaults to `"post"`.
        entry_norm: bool. Normalise the tokens before the first layer: fresh embeddings are so small that its attention
            would be uniform for long. Defaults to `True`.
        prune_last_layer: bool. Without it the last layer computes every token, and the weights that only serve the
            other tokens do not learn. Defaults to `True`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        num_sequence_tokens: int. Tokens per sequence; more than one needs `"attention"`. Defaults to `1`.
        dropout: float. Rate after each attention and feed-forward network. Defaults to `0.0`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`.
    There may be no sequences. Padding may hold anything, even NaN; an empty history is a token of zeros.
    Output: `{task: [batch, dim]}`.

    Raises:
        ValueError: If an argument is out of range or several do not go together.

    Example:

    >>> hiformer = Hiformer(tasks=["click"], num_heads=2, rank_k=16, rank_v=32)
    >>> hiformer({
    ...     "features": np.ones((3, 20, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 48), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ... })["click"].shape
    TensorShape([3, 16])

    Reference:
        [Hiformer, arXiv 2311.05884](https://arxiv.org/abs/2311.05884)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_layers: int = 2,
        attention: str = "composite",
        num_heads: int = 4,
        key_dim: int | None = None,
        value_dim: int | None = None,
        rank_k: Ranks = None,
        rank_v: Ranks = None,
        rank_per_head: bool = False,
        composite_query: bool = True,
        ffn_dim: int | None = None,
        activation: Any = "gelu",
        norm: str = "post",
        entry_norm: bool = True,
        prune_last_layer: bool = True,
        sequence_pooling: str = "mean",
        num_sequence_tokens: int = 1,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self._set_blocks(
            num_layers=num_layers,
            attention=attention,
            num_heads=num_heads,
            key_dim=key_dim,
            value_dim=value_dim,
            rank_k=rank_k,
            rank_v=rank_v,
            rank_per_head=rank_per_head,
            composite_query=composite_query,
            ffn_dim=ffn_dim,
            activation=activation,
            norm=norm,
            dropout=dropout,
        )
        self.entry_norm = entry_norm
        self.prune_last_layer = prune_last_layer
        self.sequence_pooling = check_choice("sequence_pooling", sequence_pooling, POOLINGS)
        self.num_sequence_tokens = check_positive("num_sequence_tokens", num_sequence_tokens)
        if sequence_pooling == "mean" and num_sequence_tokens > 1:
            raise ValueError(
                '`num_sequence_tokens` above 1 needs sequence_pooling="attention". '
                f'Received: sequence_pooling="mean", num_sequence_tokens={num_sequence_tokens}'
            )

    @classmethod
    def published(cls, **changes: Any) -> "Hiformer":
        """Returns the Hiformer of the paper's experiments, whose tokens are 128 wide: one pruned layer of low rank.

        Four heads with keys of 16 and values of 64 numbers each, ranks 128 and 1024 for all heads together, 512 hidden
        units. The paper's count of parameters for it, for the same with full matrices, and for one layer of
        heterogeneous attention are each 0.63 million above this one's, at 37 features and a task: that the queries are
        projections of the task token alone follows from it, and the 0.63 million must lie outside of the layer. What
        the paper leaves open is as by default.

        Args:
            **changes: Arguments of `Hiformer` that are to differ, such as `rank_k=None, rank_v=None`.

        Example:

        >>> Hiformer.published(tasks=["click"]).rank_v
        1024
        """
        arguments = {
            "num_layers": 1,
            "num_heads": 4,
            "key_dim": 16,
            "value_dim": 64,
            "rank_k": 128,
            "rank_v": 1024,
            "composite_query": False,
            "ffn_dim": 512,
        }
        return cls(**{**arguments, **changes})

    def build(self, input_shape: Any) -> None:
        batch, tokens, width = tokens_shape(input_shape["features"])
        tokens, width = tokens or 0, width or 0
        self.pooling = None
        if input_shape["sequences"]:
            self.pooling = SequencePooling(
                width, self.sequence_pooling, self.num_sequence_tokens, dtype=self.dtype_policy, name="pooling"
            )
            build_sublayer(self.pooling, sequences_of(input_shape))
            tokens += len(input_shape["sequences"]) * self.num_sequence_tokens
        number = len(self.tasks)
        self.task_tokens = self.add_weight(
            name="task_tokens", shape=(number, width), initializer=keras.initializers.RandomNormal(stddev=0.05)
        )
        if self.entry_norm:
            self.token_norm = self.make_norm("token_norm")
            build_sublayer(self.token_norm, (batch, tokens + number, width))
        self._build_blocks((batch, tokens + number, width), number if self.prune_last_layer else None)
        if self.norm == "pre":
            self.output_norm = self.make_norm("output_norm")
            build_sublayer(self.output_norm, (batch, number, width))
        super().build(input_shape)

    def user_side(self, tokens: Tokens, training: bool | None = None) -> State:
        return {} if self.pooling is None else {"pooled": self.pooling(sequences_of(tokens))}

    def candidate_side(
        self, tokens: Tokens, state: State, row: Tensor | None = None, training: bool | None = None
    ) -> dict[str, Tensor]:
        features = stack_tokens(tokens["features"])
        number, width = self.task_tokens.shape
        tasks = ops.expand_dims(ops.cast(self.task_tokens, features.dtype), 0)
        parts = [features, ops.broadcast_to(tasks, (ops.shape(features)[0], number, width))]
        if self.pooling is not None:
            parts.insert(1, rows_of(state["pooled"], row))
        x = ops.concatenate(parts, axis=1)  # [B, N + sequences + tasks, D]
        if self.entry_norm:
            x = self.token_norm(x)
        for block in self.blocks:
            x = block(x, training=training)
        if not self.prune_last_layer:
            x = x[:, x.shape[1] - number :]
        if self.norm == "pre":
            x = self.output_norm(x)
        return {task: x[:, i] for i, task in enumerate(self.tasks)}

    def token_names(self, feature_names: Sequence[str], sequence_names: Sequence[str]) -> list[str]:
        """Returns the names of all tokens in their order: features, sequences, tasks."""
        several = self.num_sequence_tokens > 1
        sequences = [
            f"{name}_{i}" if several else name
            for name in sorted(sequence_names)
            for i in range(self.num_sequence_tokens)
        ]
        return [*feature_names, *sequences, *self.tasks]

    def representation_size(self, input_shape: Any) -> int:
        return tokens_shape(input_shape["features"])[2] or 0

    def compute_output_shape(self, input_shape: Any) -> dict[str, tuple[int | None, int]]:
        batch, _, width = tokens_shape(input_shape["features"])
        return dict.fromkeys(self.tasks, (batch, width or 0))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **self._blocks_config(),
            "entry_norm": self.entry_norm,
            "prune_last_layer": self.prune_last_layer,
            "sequence_pooling": self.sequence_pooling,
            "num_sequence_tokens": self.num_sequence_tokens,
        }
