"""Inner products of all pairs of tokens."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, fresh
from tf_interformer.layers._pairs import circle_pairs, pair_count
from tf_interformer.layers._shared_tokens import SharedTokens, shared_shapes


@register
class DotInteraction(keras.layers.Layer):
    """Inner products of all pairs of tokens, mapped back to tokens: `reshape(triu(X X^T) W + b)`.

    This is the DOT backbone of InterFormer (section 5) and of DLRM; the strict upper triangle holds each pair of
    different tokens once. Row `p` of `W` belongs to a pair in the order `(0, 1), (1, 2), .., (N-1, 0), (0, 2),
    (1, 3), ..`: first all neighbours, then all tokens two apart, and so on around the circle of tokens.

    With tokens `U` that many examples share, given as `{"tokens": [N, own, dim], "shared": [R, S, dim], "row": [N]}`,
    what belongs to pairs of these is computed once for each of the R: `W` is in two parts, one for the pairs of own
    tokens, around their circle, and of `(own_0, U_0), (own_0, U_1), .., (own_1, U_0), ..`, and one for the pairs of U,
    around theirs.

    Input shape: `[batch, tokens, dim]` with at least two tokens, or a list of tensors `[batch, dim]`, or this dict.
    Output shape: `[batch, tokens, dim]`.

    Raises:
        ValueError: If there are fewer than two tokens.

    Example:

    >>> DotInteraction()(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [DLRM, arXiv 1906.00091](https://arxiv.org/abs/1906.00091)
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    # Whether it is called with what users share apart.
    takes_shared = True

    def build(self, input_shape: Any) -> None:
        (_, tokens, width), shared = shared_shapes(input_shape)
        tokens, width = tokens or 0, width or 0
        if tokens < 2:
            raise ValueError(f"Inner products need at least two tokens. Received: {tokens}")
        pairs, once = pair_count(tokens), pair_count(shared)
        # An inner product of tokens of unit variance has the variance `width`.
        initializer = keras.initializers.RandomNormal(stddev=(pairs * width) ** -0.5)
        shape = (pairs - once, tokens * width)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=fresh(initializer))
        self.shared_kernel = None
        if once:
            shape = (once, tokens * width)
            self.shared_kernel = self.add_weight(name="shared_kernel", shape=shape, initializer=fresh(initializer))
        self.bias = self.add_weight(name="bias", shape=(tokens * width,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: Any) -> Tensor:
        x = SharedTokens.of(inputs)
        own, once = self.parts(x)
        return own + x.broadcast(once)

    def parts(self, x: SharedTokens) -> tuple[Tensor, Tensor]:
        """What comes of the pairs with an own token, `[N, tokens, dim]`, and of all others, `[R or 1, tokens, dim]`."""
        _, tokens, width = x.own.shape
        pairs = [_inner_products(x.own)] if tokens > 1 else []
        if x.shared is not None:
            pairs.append(x.products())
            tokens += x.shared.shape[1]
        own = ops.matmul(ops.concatenate(pairs, axis=1) if len(pairs) > 1 else pairs[0], self.kernel)
        once = ops.expand_dims(ops.cast(self.bias, own.dtype), 0)
        if self.shared_kernel is not None:
            once = ops.matmul(_inner_products(x.shared), self.shared_kernel) + once
        return ops.reshape(own, (-1, tokens, width)), ops.reshape(once, (-1, tokens, width))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return shared_shapes(input_shape)[0]


def _inner_products(tokens: Tensor) -> Tensor:
    return circle_pairs(ops.matmul(tokens, ops.transpose(tokens, (0, 2, 1))), tokens.shape[1])
