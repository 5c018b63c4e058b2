"""Layers of Wukong as an interaction of tokens."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    check_units,
    stack_tokens,
    tokens_shape,
)
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers._token_norm import TokenNorm
from tf_interformer.layers.linear_compression import LinearCompression
from tf_interformer.layers.mlp import MLP


@register
class WukongInteraction(WithSoftNorms):
    """Layers of Wukong: `X' = LN([FMB(X) || LCB(X)] + X)` (section 3).

    The factorization machine block is `FMB(X) = reshape(MLP(LN(flatten(X (X^T Y)))))`, which is `X X^T` times a
    learned `Y` in `R^{N x k}` and costs `N D k` instead of `N^2 D`. The linear compression block `LCB(X)` mixes tokens
    linearly. Where a layer changes the number of tokens, `X` in the sum is mixed linearly to that number.

    Printed: all of these. Not here: `Y` made from the input, which the paper offers too. Ours: one
    activation, ReLU, in the MLP, and the default numbers of tokens, by which the number of tokens stays as it is.

    Args:
        num_layers: int. Defaults to `1`.
        fm_tokens: int or `None`. Tokens out of each FMB; `None` means half of the input's. Defaults to `None`.
        linear_tokens: int or `None`. Tokens out of each LCB; `None` means the rest of the input's tokens, so that
            their number stays, as an Interaction Arch needs it. Defaults to `None`.
        rank: int. k. Defaults to `8`.
        units: list of int. Hidden layers of each FMB's MLP. Defaults to `(128,)`.
        norm_epsilon: float. What the norms where residuals join add to the variance, see `Backbone`. Defaults to `1.0`.

    Input shape: `[batch, tokens, dim]` with at least two tokens, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, fm_tokens + linear_tokens, dim]`.

    Raises:
        ValueError: If an argument is out of range, or leaves no token for one of the blocks.

    Example:

    >>> WukongInteraction(num_layers=2)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [Wukong, arXiv 2403.02545](https://arxiv.org/abs/2403.02545)
    """

    def __init__(
        self,
        num_layers: int = 1,
        fm_tokens: int | None = None,
        linear_tokens: int | None = None,
        rank: int = 8,
        units: Sequence[int] = (128,),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_layers = check_positive("num_layers", num_layers)
        self.fm_tokens = None if fm_tokens is None else check_positive("fm_tokens", fm_tokens)
        self.linear_tokens = None if linear_tokens is None else check_positive("linear_tokens", linear_tokens)
        self.rank = check_positive("rank", rank)
        self.units = check_units("units", units)

    def build(self, input_shape: Any) -> None:
        batch, tokens, width = tokens_shape(input_shape)
        tokens, width = tokens or 0, width or 0
        fm_tokens, linear_tokens = self._tokens(tokens)
        after = fm_tokens + linear_tokens
        policy = self.dtype_policy
        self.right_kernels, self.fm_norms, self.mlps, self.compressions, self.shortcuts, self.norms = (
            [] for _ in range(6)
        )
        for i in range(self.num_layers):
            before = tokens if i == 0 else after
            self.right_kernels.append(
                self.add_weight(name=f"right_kernel_{i}", shape=(before, self.rank), initializer="lecun_normal")
            )
            self.fm_norms.append(TokenNorm(dtype=policy, name=f"fm_norm_{i}"))
            build_sublayer(self.fm_norms[i], (batch, before * self.rank))
            self.mlps.append(MLP((*self.units, fm_tokens * width), activation="relu", dtype=policy, name=f"mlp_{i}"))
            build_sublayer(self.mlps[i], (batch, before * self.rank))
            self.compressions.append(LinearCompression(linear_tokens, dtype=policy, name=f"compression_{i}"))
            build_sublayer(self.compressions[i], (batch, before, width))
            self.norms.append(self.make_norm(f"norm_{i}"))
            build_sublayer(self.norms[i], (batch, after, width))
        if after != tokens:  # of the first layer alone: the others keep the number
            self.shortcuts.append(LinearCompression(after, dtype=policy, name="shortcut"))
            build_sublayer(self.shortcuts[0], (batch, tokens, width))
        super().build(input_shape)

    def _tokens(self, tokens: int) -> tuple[int, int]:
        fm_tokens = self.fm_tokens or tokens // 2
        linear_tokens = self.linear_tokens or tokens - fm_tokens
        if fm_tokens < 1 or linear_tokens < 1:
            raise ValueError(
                "Each block of Wukong needs a token: give `fm_tokens` and `linear_tokens`, or more tokens. "
                f"Received: fm_tokens={self.fm_tokens}, linear_tokens={self.linear_tokens}, {tokens} tokens"
            )
        return fm_tokens, linear_tokens

    def call(self, inputs: Tensor) -> Tensor:
        x = stack_tokens(inputs)
        width = x.shape[2]
        for i in range(self.num_layers):
            mixed = ops.einsum("bnd,nk->bdk", x, ops.cast(self.right_kernels[i], x.dtype))
            products = ops.reshape(ops.matmul(x, mixed), (-1, x.shape[1] * self.rank))
            fm = ops.reshape(self.mlps[i](self.fm_norms[i](products)), (-1, self.mlps[i].units[-1] // width, width))
            short = self.shortcuts[0](x) if i == 0 and self.shortcuts else x
            x = self.norms[i](ops.concatenate([fm, self.compressions[i](x)], axis=1) + short)
        return x

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, tokens, width = tokens_shape(input_shape)
        return batch, sum(self._tokens(tokens or 0)), width

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "fm_tokens": self.fm_tokens,
            "linear_tokens": self.linear_tokens,
            "rank": self.rank,
            "units": list(self.units),
        }
