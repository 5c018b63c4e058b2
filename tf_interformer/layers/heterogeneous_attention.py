"""Self-attention in which every feature has projections of its own."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    check_rate,
    softmax,
    stack_tokens,
    tokens_shape,
    wide,
)
from tf_interformer.layers._recording import record


@register
class HeterogeneousAttention(keras.layers.Layer):
    """Heterogeneous attention of Hiformer: each token has its own query, key, value and output projections.

    `phi^h_ij = (e_i Q_i^h)(e_j K_j^h)^T / sqrt(d_k)`, `o_i = concat_h(sum_j softmax_j(phi^h_ij) e_j V_j^h) O_i`
    (Hiformer, section 3.3). It costs as many operations as an attention with shared projections. The softmax is
    computed in float32 or wider. That there are no biases is our choice.

    Args:
        num_heads: int. H. Defaults to `4`.
        key_dim: int or `None`. d_k; `None` means the width of the tokens divided by the heads. Defaults to `None`.
        value_dim: int or `None`. d_v; `None` means the same. Defaults to `None`.
        num_queries: int or `None`. Only the last so many tokens are queries, and only their outputs are computed
            (last-layer pruning, section 3.5.2). `None` means all tokens. Defaults to `None`.
        dropout: float. Rate after the output projection. Defaults to `0.0`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, num_queries, dim]`.

    Raises:
        ValueError: If an argument is out of range, `num_queries` exceeds the number of tokens, or `num_heads` does
            not divide the width and `key_dim` or `value_dim` is not given.

    Example:

    >>> HeterogeneousAttention(num_heads=2)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [Hiformer, arXiv 2311.05884](https://arxiv.org/abs/2311.05884)
    """

    def __init__(
        self,
        num_heads: int = 4,
        key_dim: int | None = None,
        value_dim: int | None = None,
        num_queries: int | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = check_positive("num_heads", num_heads)
        self.key_dim = None if key_dim is None else check_positive("key_dim", key_dim)
        self.value_dim = None if value_dim is None else check_positive("value_dim", value_dim)
        self.num_queries = None if num_queries is None else check_positive("num_queries", num_queries)
        self.dropout = check_rate("dropout", dropout)

    def build(self, input_shape: Any) -> None:
        shape = tokens_shape(input_shape)
        batch, tokens, width = shape[0], shape[1] or 0, shape[2] or 0
        heads = self.num_heads
        if width % heads and None in (self.key_dim, self.value_dim):
            raise ValueError(
                "`num_heads` must divide the width of the tokens unless `key_dim` and `value_dim` are given. "
                f"Received: num_heads={heads}, width {width}"
            )
        self._queries = self._number_of_queries(tokens)
        self._key_width = self.key_dim or width // heads
        self._value_width = self.value_dim or width // heads
        self._build_projections(batch, tokens, width)
        self.output_kernel = self._kernel_per_token("output_kernel", self._queries, heads * self._value_width, width)
        self.dropout_layer = None
        if self.dropout:
            self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy, name="dropout")
            build_sublayer(self.dropout_layer, (batch, self._queries, width))
        super().build(input_shape)

    def _number_of_queries(self, tokens: int) -> int:
        if self.num_queries is not None and self.num_queries > tokens:
            raise ValueError(
                "`num_queries` must not exceed the number of tokens. "
                f"Received: num_queries={self.num_queries}, {tokens} tokens"
            )
        return self.num_queries or tokens

    def _build_projections(self, batch: int | None, tokens: int, width: int) -> None:
        self._build_own_queries(width)
        columns = self.num_heads * (self._key_width + self._value_width)
        self.key_value_kernel = self._kernel_per_token("key_value_kernel", tokens, width, columns)

    def _build_own_queries(self, width: int) -> None:
        columns = self.num_heads * self._key_width
        self.query_kernel = self._kernel_per_token("query_kernel", self._queries, width, columns)

    def _kernel_per_token(self, name: str, tokens: int, rows: int, columns: int) -> Any:
        # Not "lecun_normal", which would count the tokens as inputs.
        initializer = keras.initializers.RandomNormal(stddev=rows**-0.5)
        return self.add_weight(name=name, shape=(tokens, rows, columns), initializer=initializer)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        queries, keys, values = self._project(stack_tokens(inputs))  # [B, H, Q or L, d_k or d_v]
        scores = wide(ops.matmul(queries * self._key_width**-0.5, ops.transpose(keys, (0, 1, 3, 2))))
        weights = softmax(scores)
        record(self, weights)
        attended = ops.matmul(ops.cast(weights, values.dtype), values)
        columns = self.num_heads * self._value_width
        attended = ops.reshape(ops.transpose(attended, (2, 0, 1, 3)), (self._queries, -1, columns))
        output = ops.transpose(ops.matmul(attended, self.output_kernel), (1, 0, 2))
        return output if self.dropout_layer is None else self.dropout_layer(output, training=training)

    def _project(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        by_token = ops.transpose(tokens, (1, 0, 2))  # [L, B, D]
        both = self._heads(ops.matmul(by_token, self.key_value_kernel))
        keys, values = ops.split(both, [self._key_width], axis=-1)
        return self._own_queries(by_token), keys, values

    def _own_queries(self, by_token: Tensor) -> Tensor:
        return self._heads(ops.matmul(by_token[by_token.shape[0] - self._queries :], self.query_kernel))

    def _heads(self, x: Tensor) -> Tensor:
        """`[L, B, H E] -> [B, H, L, E]`."""
        split = ops.reshape(x, (x.shape[0], -1, self.num_heads, x.shape[2] // self.num_heads))
        return ops.transpose(split, (1, 2, 0, 3))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, tokens, width = tokens_shape(input_shape)
        return (batch, self._number_of_queries(tokens or 0), width)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "num_queries": self.num_queries,
            "dropout": self.dropout,
        }
