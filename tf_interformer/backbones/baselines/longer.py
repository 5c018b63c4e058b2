"""LONGER."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import keras, register
from tf_interformer.backbones.baselines._joined_sequence import with_learned
from tf_interformer.backbones.baselines._unified_stack import UnifiedStack
from tf_interformer.layers._common import Tensor, check_positive, check_rate
from tf_interformer.layers.sequences.event_merging import EventMerging
from tf_interformer.layers.unified_block import UnifiedBlock


@register
class LONGER(UnifiedStack):
    """LONGER: global tokens and the latest events ask a long history (arXiv 2505.04421).

    Neighbouring events are merged (`EventMerging`). In the first block the queries are the global tokens and the latest
    merged events, and the keys all of them; in the others these attend to each other. Events see older events alone,
    global tokens see all. The representation is the global tokens after the last block, flattened.

    Printed: merging, global tokens, queries, masks. Left out: time gaps beside the events, since tokens carry no time.
    Ours: every feature token is a global token, beside learned ones, where the paper has candidate, user and CLS;
    several sequences are joined (`SequenceJoin`); the soft norms on entry and at the end; and in the last block no
    event is a query, which changes nothing.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. The first block and those behind it. Defaults to `2`.
        num_merged_events: int. Events in a token; 1 merges none. Defaults to `4`.
        inner_transformer: bool. See `EventMerging`. Defaults to `False`.
        num_recent_tokens: int. Latest tokens that are queries of the first block. Defaults to `100`.
        num_cls_tokens: int. Learned global tokens. Defaults to `1`.
        num_heads: int. Must divide the width. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width of the networks; `None` means four times the width. Defaults to `None`.
        max_positions: int. See `SequenceJoin`. Defaults to `128`.
        dropout: float. Rate in the blocks. Defaults to `0.0`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`, with
        at least one sequence. Padding may hold anything, even NaN.
    Output: `{task: [batch, (N + num_cls_tokens) * dim]}`.

    Raises:
        ValueError: If an argument is out of range, or there is no sequence.

    Example:

    >>> model = LONGER(tasks=["click"])
    >>> model({
    ...     "features": np.ones((3, 5, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 16), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ... })["click"].shape
    TensorShape([3, 96])

    Reference:
        [LONGER, arXiv 2505.04421](https://arxiv.org/abs/2505.04421)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_layers: int = 2,
        num_merged_events: int = 4,
        inner_transformer: bool = False,
        num_recent_tokens: int = 100,
        num_cls_tokens: int = 1,
        num_heads: int = 4,
        ffn_dim: int | None = None,
        max_positions: int = 128,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, max_positions=max_positions, **kwargs)
        self.num_layers = check_positive("num_layers", num_layers)
        self.num_merged_events = check_positive("num_merged_events", num_merged_events)
        self.inner_transformer = inner_transformer
        self.num_recent_tokens = check_positive("num_recent_tokens", num_recent_tokens)
        self.num_cls_tokens = check_positive("num_cls_tokens", num_cls_tokens, minimum=0)
        self.num_heads = check_positive("num_heads", num_heads)
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.dropout = check_rate("dropout", dropout)

    def build_parts(self, features: Any, histories: list[dict[str, Any]]) -> None:
        (joined,) = histories
        batch, tokens, width = features
        policy = self.dtype_policy
        self.merging = None
        if self.num_merged_events > 1:
            merging = EventMerging(
                self.num_merged_events,
                self.inner_transformer,
                self.num_heads,
                norm_epsilon=self.norm_epsilon,
                dtype=policy,
                name="merging",
            )
            self.merging = self.part(merging, joined)
            joined = merging.compute_output_shape(joined)
        self.cls_tokens = None
        if self.num_cls_tokens:
            initializer = keras.initializers.RandomNormal(stddev=0.05)
            self.cls_tokens = self.add_weight(
                name="cls_tokens", shape=(self.num_cls_tokens, width), initializer=initializer
            )
        state = {**joined, "features": (batch, tokens + self.num_cls_tokens, width)}
        queries = [self.num_recent_tokens, *[None] * (self.num_layers - 1)]
        queries[-1] = 0
        self.blocks = []
        for i, count in enumerate(queries):
            block = UnifiedBlock(
                self.num_heads,
                self.ffn_dim,
                count,
                own_weights=False,
                causal_features=False,
                dropout=self.dropout,
                dtype=policy,
                name=f"block_{i}",
            )
            self.blocks.append(self.part(block, state))
            state = block.compute_output_shape(state)
        norm = self.make_norm("output_norm", rms=True)
        self.output_norm = self.part(norm, state["features"])

    def events_of(self, history: dict[str, Tensor], training: bool | None) -> dict[str, Tensor]:
        return history if self.merging is None else self.merging(history, training=training)

    def tokens_of(self, features: Tensor) -> Tensor:
        return features if self.cls_tokens is None else with_learned(features, self.cls_tokens)

    def size(self, tokens: int, width: int) -> int:
        return (tokens + self.num_cls_tokens) * width

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_merged_events": self.num_merged_events,
            "inner_transformer": self.inner_transformer,
            "num_recent_tokens": self.num_recent_tokens,
            "num_cls_tokens": self.num_cls_tokens,
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "dropout": self.dropout,
        }
