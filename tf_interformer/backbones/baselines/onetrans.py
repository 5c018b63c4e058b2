"""OneTrans."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._unified_stack import UnifiedStack
from tf_interformer.layers._common import Tensor, check_choice, check_positive, check_rate, check_units
from tf_interformer.layers.feature_tokens import TOKENIZERS, FeatureTokens
from tf_interformer.layers.unified_block import UnifiedBlock


@register
class OneTrans(UnifiedStack):
    """OneTrans: one causal Transformer over `[events; features]` (arXiv 2510.26104).

    The sequences are laid one after another (`SequenceJoin`), the features become `num_tokens` tokens behind them
    (`FeatureTokens`), and a stack of `UnifiedBlock` follows, in which events share their weights and every feature
    token has its own. The representation is the feature tokens after the last block, flattened.

    Printed: tokens, mixed weights, causal mask, norms, and a pyramid of queries. Left out: merging sequences by time,
    since tokens carry none. Ours: see `SequenceJoin` and `UnifiedBlock`; the soft norms on entry and at the end; and in
    the last block no event is a query, which changes nothing.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. The paper's small model has 6. Defaults to `2`.
        num_tokens: int. Feature tokens. Defaults to `8`.
        dim: int or `None`. Width of all tokens, 256 in the paper's small model; `None` means that of the features.
            Defaults to `None`.
        num_heads: int. Must divide the width. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width of the networks; `None` means four times the width. Defaults to `None`.
        tokenizer: str. `"joint"`: each feature token is made of all features; `"groups"`: of a part of them, a little
            worse in the paper. Defaults to `"joint"`.
        own_weights: bool. Without, feature tokens share the weights of the events; worse in the paper. Defaults to
            `True`.
        pyramid: list of int or `None`. For each block but the last, how many of the latest events go on; the paper
            falls evenly from 1190 to 12. `None` for all. Defaults to `None`.
        max_positions: int. See `SequenceJoin`. Defaults to `128`.
        dropout: float. Rate in the blocks. Defaults to `0.0`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`, with
        at least one sequence. Padding may hold anything, even NaN.
    Output: `{task: [batch, num_tokens * dim]}`.

    Raises:
        ValueError: If an argument is out of range, or there is no sequence.

    Example:

    >>> model = OneTrans(tasks=["click"], num_layers=3, pyramid=[20, 5])
    >>> model({
    ...     "features": np.ones((3, 5, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 16), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ... })["click"].shape
    TensorShape([3, 128])

    Reference:
        [OneTrans, arXiv 2510.26104](https://arxiv.org/abs/2510.26104)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_layers: int = 2,
        num_tokens: int = 8,
        dim: int | None = None,
        num_heads: int = 4,
        ffn_dim: int | None = None,
        tokenizer: str = "joint",
        own_weights: bool = True,
        pyramid: Sequence[int] | None = None,
        max_positions: int = 128,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, max_positions=max_positions, **kwargs)
        self.num_layers = check_positive("num_layers", num_layers)
        self.num_tokens = check_positive("num_tokens", num_tokens)
        self.dim = None if dim is None else check_positive("dim", dim)
        self.num_heads = check_positive("num_heads", num_heads)
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.tokenizer = check_choice("tokenizer", tokenizer, TOKENIZERS)
        self.own_weights = own_weights
        self.pyramid = None if pyramid is None else check_units("pyramid", pyramid)
        if self.pyramid is not None and len(self.pyramid) != num_layers - 1:
            raise ValueError(
                "`pyramid` must hold a number of events for each block but the last. "
                f"Received: pyramid={list(self.pyramid)}, num_layers={num_layers}"
            )
        self.dropout = check_rate("dropout", dropout)

    def event_width(self, width: int) -> int:
        return self.dim or width

    def build_parts(self, features: Any, histories: list[dict[str, Any]]) -> None:
        (joined,) = histories
        policy = self.dtype_policy
        tokens = FeatureTokens(self.num_tokens, self.dim, self.tokenizer, dtype=policy, name="tokens")
        self.tokens = self.part(tokens, features)
        state = {**joined, "features": self.tokens.compute_output_shape(features)}
        self.blocks = []
        for i, queries in enumerate([*(self.pyramid or [None] * (self.num_layers - 1)), 0]):
            block = UnifiedBlock(
                self.num_heads,
                self.ffn_dim,
                queries,
                self.own_weights,
                dropout=self.dropout,
                dtype=policy,
                name=f"block_{i}",
            )
            self.blocks.append(self.part(block, state))
            state = block.compute_output_shape(state)
        norm = self.make_norm("output_norm", rms=True)
        self.output_norm = self.part(norm, state["features"])

    def tokens_of(self, features: Tensor) -> Tensor:
        return self.tokens(features)

    def size(self, tokens: int, width: int) -> int:
        return self.num_tokens * (self.dim or width)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_tokens": self.num_tokens,
            "dim": self.dim,
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "tokenizer": self.tokenizer,
            "own_weights": self.own_weights,
            "pyramid": None if self.pyramid is None else list(self.pyramid),
            "dropout": self.dropout,
        }
