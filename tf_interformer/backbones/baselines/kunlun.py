"""Kunlun."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.backbones.baselines._interaction_only import flatten
from tf_interformer.backbones.baselines._joined_sequence import JoinedSequence
from tf_interformer.layers._common import Tensor, check_positive, check_units
from tf_interformer.layers.generalized_attention import GeneralizedAttention
from tf_interformer.layers.hierarchical_seed_pooling import HierarchicalSeedPooling
from tf_interformer.layers.interactions.wukong import WukongInteraction
from tf_interformer.layers.linear_compression import LinearCompression
from tf_interformer.layers.sequences.sequence_attention import SequenceAttention


@register
class Kunlun(JoinedSequence):
    """Kunlun: an InterFormer whose layers take turns at what is dear (arXiv 2602.10016).

    Even layers personalise the events by a summary of the features, `S' = LN(GDPA(S, X_sum))`, and pool them anew,
    `Y = HSP(S')`; odd ones let the events attend to their neighbours, `S' = LN(S + MHA(S))` within a window, and go on
    with the last Y. In every layer the features meet Y by one of Wukong's, `X' = Wukong([X || Y])`. The representation
    is `[X || Y]` after the last layer, flattened. See `GeneralizedAttention` and `HierarchicalSeedPooling`.

    Printed: GDPA, HSP, the window, the turns. Left out: Wukong in parts by several experts, and rotary angles by time,
    since tokens carry none. Ours: the linear summary, that Wukong reads the feature tokens themselves, the norms,
    positions; and a last layer that is odd leaves the events alone, of which nobody reads.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. Defaults to `3`.
        num_summary_tokens: int. Tokens of X_sum. Defaults to `4`.
        num_pooled_tokens: int. Tokens of Y. Defaults to `4`.
        num_seeds: int. See `HierarchicalSeedPooling`. Defaults to `16`.
        num_products: int. See `HierarchicalSeedPooling`. Defaults to `8`.
        num_heads: int. Must divide the width. Defaults to `4`.
        window: int. Events attend to those fewer places away; 50 to 200 in the paper. Defaults to `100`.
        rank: int. Of Wukong's products. Defaults to `8`.
        units: list of int. Hidden layers of Wukong's MLP. Defaults to `(128,)`.
        max_positions: int. See `SequenceJoin`. Defaults to `128`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`, with
        at least one sequence. Padding may hold anything, even NaN.
    Output: `{task: [batch, (N + num_pooled_tokens) * dim]}`, as of two features where there is one.

    Raises:
        ValueError: If an argument is out of range, or there is no sequence.

    Example:

    >>> model = Kunlun(tasks=["click"])
    >>> model({
    ...     "features": np.ones((3, 5, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 16), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ... })["click"].shape
    TensorShape([3, 144])

    Reference:
        [Kunlun, arXiv 2602.10016](https://arxiv.org/abs/2602.10016)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_layers: int = 3,
        num_summary_tokens: int = 4,
        num_pooled_tokens: int = 4,
        num_seeds: int = 16,
        num_products: int = 8,
        num_heads: int = 4,
        window: int = 100,
        rank: int = 8,
        units: Sequence[int] = (128,),
        max_positions: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, max_positions=max_positions, **kwargs)
        self.num_layers = check_positive("num_layers", num_layers)
        self.num_summary_tokens = check_positive("num_summary_tokens", num_summary_tokens)
        self.num_pooled_tokens = check_positive("num_pooled_tokens", num_pooled_tokens)
        self.num_seeds = check_positive("num_seeds", num_seeds)
        self.num_products = check_positive("num_products", num_products)
        self.num_heads = check_positive("num_heads", num_heads)
        self.window = check_positive("window", window)
        self.rank = check_positive("rank", rank)
        self.units = check_units("units", units)

    def build_parts(self, features: Any, histories: list[dict[str, Any]]) -> None:
        batch, tokens, width = features
        (history,) = histories
        policy = self.dtype_policy
        self.summaries, self.personalizers, self.attentions, self.norms = [], [], [], []
        self.poolings, self.interactions = [], []
        for i in range(self.num_layers):
            if i % 2 == 0:
                summary = LinearCompression(self.num_summary_tokens, dtype=policy, name=f"summary_{i}")
                self.summaries.append(self.part(summary, (batch, tokens, width)))
                known = {**history, "summary": (batch, self.num_summary_tokens, width)}
                layer = GeneralizedAttention(self.num_heads, dtype=policy, name=f"personalizer_{i}")
                self.personalizers.append(self.part(layer, known))
                pooling = HierarchicalSeedPooling(
                    self.num_pooled_tokens,
                    self.num_seeds,
                    self.num_products,
                    self.num_heads,
                    dtype=policy,
                    name=f"pooling_{i}",
                )
                self.poolings.append(self.part(pooling, history))
            elif i + 1 < self.num_layers:
                attention = SequenceAttention(self.num_heads, window=self.window, dtype=policy, name=f"attention_{i}")
                self.attentions.append(self.part(attention, history))
            if i % 2 == 0 or i + 1 < self.num_layers:
                norm = self.make_norm(f"norm_{i}")
                self.norms.append(self.part(norm, history["sequence"]))
            after = self._tokens(tokens)
            wukong = WukongInteraction(
                1,
                after // 2,
                after - after // 2,
                self.rank,
                self.units,
                norm_epsilon=self.norm_epsilon,
                dtype=policy,
                name=f"interaction_{i}",
            )
            self.interactions.append(self.part(wukong, (batch, tokens + self.num_pooled_tokens, width)))
            tokens = after

    def _tokens(self, tokens: int) -> int:
        """Wukong has two blocks, which make a token each at least."""
        return max(tokens, 2)

    def interact(self, features: Tensor, histories: list[dict[str, Tensor]], training: bool | None) -> Tensor:
        (history,) = histories
        x, events, lengths = features, history["sequence"], history["lengths"]
        for i in range(self.num_layers):
            if i % 2 == 0:
                known = {"sequence": events, "summary": self.summaries[i // 2](x)}
                events = self.norms[i](self.personalizers[i // 2](known))
                pooled = self.poolings[i // 2]({"sequence": events, "lengths": lengths})
            elif i + 1 < self.num_layers:
                attended = self.attentions[i // 2]({"sequence": events, "lengths": lengths})
                events = self.norms[i](events + attended)
            x = self.interactions[i](ops.concatenate([x, pooled], axis=1))
        return flatten(ops.concatenate([x, pooled], axis=1))

    def size(self, tokens: int, width: int) -> int:
        return (self._tokens(tokens) + self.num_pooled_tokens) * width

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_summary_tokens": self.num_summary_tokens,
            "num_pooled_tokens": self.num_pooled_tokens,
            "num_seeds": self.num_seeds,
            "num_products": self.num_products,
            "num_heads": self.num_heads,
            "window": self.window,
            "rank": self.rank,
            "units": list(self.units),
        }
