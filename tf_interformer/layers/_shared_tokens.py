"""Tokens of which some are the same for many examples, for the layers that compute these once."""

from typing import Any, NamedTuple

from tf_interformer._keras import ops
from tf_interformer.layers._common import Shape, Tensor, rows_of, stack_tokens, tokens_shape


class SharedTokens(NamedTuple):
    """Tokens `[N, own, D]` of N examples, and tokens `[R, shared, D]` of R users; or both flat.

    Attributes:
        own: Tensor `[N, own, D]`.
        shared: Tensor `[R, shared, D]`, which stand behind them; `None`: there are none.
        row: int tensor `[N]`: whose each example is. `None`: R is N.
    """

    own: Tensor
    shared: Tensor | None
    row: Tensor | None

    @classmethod
    def of(cls, inputs: Any) -> "SharedTokens":
        """Returns what a layer was given: tokens, or a dict with `"tokens"`, `"shared"` and maybe `"row"`."""
        if isinstance(inputs, dict):
            return cls(inputs["tokens"], inputs["shared"], inputs.get("row"))
        return cls(stack_tokens(inputs), None, None)

    def together(self) -> Tensor:
        """Returns all tokens of each example, `[N, own + shared, D]`."""
        if self.shared is None:
            return self.own
        return ops.concatenate([self.own, rows_of(self.shared, self.row)], axis=1)

    def sides(self) -> list[Tensor]:
        """Returns own tokens, `[N, own D]`, and shared ones, `[N, shared D]` or, of one user, `[1, shared D]`."""
        own = [flat(self.own)]
        return own if self.shared is None else [*own, self.broadcast(flat(self.shared))]

    def broadcast(self, values: Tensor) -> Tensor:
        """Returns what was made of the shared tokens, `[R, ...]`, so that it can be added to what each example has."""
        return values if values.shape[0] == 1 else rows_of(values, self.row)

    def product(self, kernel: Tensor) -> Tensor:
        """Returns all tokens of each example side by side times a kernel, `[N, F]`."""
        own = flat(self.own)
        if self.shared is None:
            return ops.matmul(own, kernel)
        size = own.shape[1]
        return ops.matmul(own, kernel[:size]) + self.broadcast(ops.matmul(flat(self.shared), kernel[size:]))

    def products(self) -> Tensor:
        """Returns the inner products of own with shared tokens, `[N, own * shared]`."""
        _, own, width = self.own.shape
        shared = self.shared.shape[1]  # type: ignore[union-attr]
        others = ops.transpose(self.shared, (0, 2, 1))
        if self.shared.shape[0] == 1:  # type: ignore[union-attr]
            found = ops.matmul(ops.reshape(self.own, (-1, width)), others[0])
        else:
            found = ops.matmul(self.own, rows_of(others, self.row))
        return ops.reshape(found, (-1, own * shared))


def flat(tokens: Tensor) -> Tensor:
    """Returns `[N, tokens, D]` side by side, `[N, tokens D]`; what is so already as it is."""
    if len(tokens.shape) == 2:
        return tokens
    return ops.reshape(tokens, (-1, tokens.shape[1] * tokens.shape[2]))


def shared_shapes(input_shape: Any) -> tuple[Shape, int]:
    """Returns the shape `(N, all tokens, D)` of what a layer was given, and how many of the tokens are shared."""
    if not isinstance(input_shape, dict):
        return tokens_shape(input_shape), 0
    batch, own, width = tokens_shape(input_shape["tokens"])
    shared = tokens_shape(input_shape["shared"])[1] or 0
    return (batch, (own or 0) + shared, width), shared
