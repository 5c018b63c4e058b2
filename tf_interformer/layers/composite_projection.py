"""A projection of all tokens together, for every head and token."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, check_positive, stack_tokens, tokens_shape


@register
class CompositeProjection(keras.layers.Layer):
    """Composite projection of Hiformer: each head's vector of each token is a projection of *all* tokens.

    `[k_1 || ... || k_L] = [e_1 || ... || e_L] K_h` with `K_h` in `R^{L d x L d_k}` (Hiformer, section 3.4), for the
    heads h = 1 ... H. It is one matrix product for all heads and tokens.

    With a rank r, `[K_1 || ... || K_H] = L R` with `L` in `R^{L d x r}` and `R` in `R^{r x H L d_k}` (section 3.5.1),
    which is cheaper where `r < L d H d_k / (d + H d_k)`. That all heads share the two factors follows from the numbers
    of parameters that the paper prints; `rank_per_head=True`, `K_h = L_h R_h`, is ours, as is that there is no bias by
    default.

    The weights start so that the outputs have about the variance of the inputs, with a rank as well.

    Args:
        num_heads: int. H.
        head_dim: int. d_k, the width of each output vector.
        rank: int or `None`. r; a rank above that of the full matrix is cut down to `min(L d, H M d_k)`. `None` means
            the full matrix. Defaults to `None`.
        num_outputs: int or `None`. M: only the vectors of the last M tokens are computed, and only their columns
            exist. `None` means all tokens. Defaults to `None`.
        use_bias: bool. Defaults to `False`.
        rank_per_head: bool. Each head has a pair of factors of this rank, at most `min(L d, M d_k)`, of its own.
            Defaults to `False`, one pair for all heads together.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, num_heads, num_outputs, head_dim]`.

    Raises:
        ValueError: If an argument is not a positive integer, or `num_outputs` exceeds the number of tokens.

    Example:

    >>> CompositeProjection(num_heads=4, head_dim=8, rank=16)(np.ones((2, 20, 32), "float32")).shape
    TensorShape([2, 4, 20, 8])

    Reference:
        [Hiformer, arXiv 2311.05884](https://arxiv.org/abs/2311.05884)
    """

    def __init__(
        self,
        num_heads: int,
        head_dim: int,
        rank: int | None = None,
        num_outputs: int | None = None,
        use_bias: bool = False,
        rank_per_head: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = check_positive("num_heads", num_heads)
        self.head_dim = check_positive("head_dim", head_dim)
        self.rank = None if rank is None else check_positive("rank", rank)
        self.num_outputs = None if num_outputs is None else check_positive("num_outputs", num_outputs)
        self.use_bias = use_bias
        self.rank_per_head = rank_per_head

    def build(self, input_shape: Any) -> None:
        _, tokens, width = tokens_shape(input_shape)
        size, outputs = (tokens or 0) * (width or 0), self._outputs(tokens)
        columns = outputs * self.head_dim
        if self.rank is None:
            self.kernel = self._weight("kernel", (size, self.num_heads * columns), size)
        elif self.rank_per_head:
            rank = min(self.rank, size, columns)
            self.left_kernel = self._weight("left_kernel", (size, self.num_heads * rank), size)
            self.right_kernel = self._weight("right_kernel", (self.num_heads, rank, columns), rank)
        else:
            rank = min(self.rank, size, self.num_heads * columns)
            self.left_kernel = self._weight("left_kernel", (size, rank), size)
            self.right_kernel = self._weight("right_kernel", (rank, self.num_heads * columns), rank)
        if self.use_bias:
            shape = (self.num_heads, outputs, self.head_dim)
            self.bias = self.add_weight(name="bias", shape=shape, initializer="zeros")
        super().build(input_shape)

    def _weight(self, name: str, shape: tuple[int, ...], terms: int) -> Any:
        initializer = keras.initializers.RandomNormal(stddev=terms**-0.5)
        return self.add_weight(name=name, shape=shape, initializer=initializer)

    def _outputs(self, tokens: int | None) -> int:
        tokens = tokens or 0
        if self.num_outputs is not None and self.num_outputs > tokens:
            raise ValueError(
                "`num_outputs` must not exceed the number of tokens. "
                f"Received: num_outputs={self.num_outputs}, {tokens} tokens"
            )
        return self.num_outputs or tokens

    def call(self, inputs: Tensor) -> Tensor:
        tokens = stack_tokens(inputs)
        _, number, width = tokens.shape
        heads = self.num_heads
        shape = (heads, self._outputs(number), self.head_dim)
        everything = ops.reshape(tokens, (-1, number * width))
        if self.rank is None:
            projected = ops.reshape(ops.matmul(everything, self.kernel), (-1, *shape))
        elif not self.rank_per_head:
            left = ops.matmul(everything, self.left_kernel)
            projected = ops.reshape(ops.matmul(left, self.right_kernel), (-1, *shape))
        else:
            rank = self.right_kernel.shape[1]
            left = ops.reshape(ops.matmul(everything, self.left_kernel), (-1, heads, rank))
            right = ops.matmul(ops.transpose(left, (1, 0, 2)), self.right_kernel)  # [H, B, M d_k]
            projected = ops.transpose(ops.reshape(right, (heads, -1, *shape[1:])), (1, 0, 2, 3))
        return projected + ops.cast(self.bias, projected.dtype) if self.use_bias else projected

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, tokens, _ = tokens_shape(input_shape)
        return (batch, self.num_heads, self._outputs(tokens), self.head_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "head_dim": self.head_dim,
            "rank": self.rank,
            "num_outputs": self.num_outputs,
            "use_bias": self.use_bias,
            "rank_per_head": self.rank_per_head,
        }
