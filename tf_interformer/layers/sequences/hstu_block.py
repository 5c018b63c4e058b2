"""A block of Hierarchical Sequential Transduction Units."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    check_rate,
    project,
    read_history,
    sequence_shape,
    wide,
)
from tf_interformer.layers._recording import record
from tf_interformer.layers._token_norm import TokenNorm
from tf_interformer.layers.multi_head_attention import check_heads


@register
class HSTUBlock(keras.layers.Layer):
    """HSTU: attention without a softmax, gated by the token (Eqs. 1 to 3 of the paper).

    `U, V, Q, K = split(SiLU(LN(X) W_1))`, `A V = SiLU(Q K^T + b) V / n`, `Y = X + (LN(A V) * U) W_2`, causal.

    The block, the relative bias b and the norm before `W_2` are printed; that A is divided by the number of tokens,
    and the residual connection, are from the authors' code, there with the longest possible history in place of the
    history's own n. The bias knows distances by position only, not by time, and is shared by the heads.

    Args:
        num_heads: int. Must divide the width. Defaults to `4`.
        max_positions: int. Distances from here on share a bias. Defaults to `128`.
        dropout: float. Rate before the last product. Defaults to `0.0`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch]}`. Output shape: that of the sequence. What stands at
    padded positions has no meaning.

    Raises:
        ValueError: If an argument is out of range or `num_heads` does not divide the width.

    Example:

    >>> inputs = {"sequence": np.ones((3, 50, 16), "float32"), "lengths": np.array([0, 7, 50])}
    >>> HSTUBlock(num_heads=2)(inputs).shape
    TensorShape([3, 50, 16])

    Reference:
        [Actions Speak Louder than Words, arXiv 2402.17152](https://arxiv.org/abs/2402.17152)
    """

    def __init__(self, num_heads: int = 4, max_positions: int = 128, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = check_positive("num_heads", num_heads)
        self.max_positions = check_positive("max_positions", max_positions)
        self.dropout = check_rate("dropout", dropout)

    def build(self, input_shape: Any) -> None:
        shape = sequence_shape(input_shape["sequence"])
        width = shape[2] or 0
        check_heads(width, self.num_heads)
        self.kernel = self.add_weight(name="kernel", shape=(width, 4 * width), initializer="lecun_normal")
        self.output_kernel = self.add_weight(name="output_kernel", shape=(width, width), initializer="lecun_normal")
        self.distance_bias = self.add_weight(
            name="distance_bias",
            shape=(self.max_positions,),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )
        self.input_norm = TokenNorm(dtype=self.dtype_policy, name="input_norm")
        self.attended_norm = TokenNorm(dtype=self.dtype_policy, name="attended_norm")
        for norm in (self.input_norm, self.attended_norm):
            build_sublayer(norm, shape)
        self.dropout_layer = None
        if self.dropout:
            self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy, name="dropout")
            build_sublayer(self.dropout_layer, shape)
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        sequence, lengths = read_history(inputs["sequence"], inputs["lengths"])
        batch, time, width = ops.shape(sequence)
        heads = self.num_heads
        gate, rest = ops.split(ops.silu(project(self.input_norm(sequence), self.kernel)), [width], axis=-1)
        apart = ops.reshape(rest, (batch, time, 3, heads, width // heads))
        values, queries, keys = ops.unstack(ops.transpose(apart, (2, 0, 3, 1, 4)), 3)  # [B, H, T, D / H]

        scores = wide(ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2))))
        order = ops.arange(time)
        distance = order[:, None] - order[None, :]
        bias = ops.take(
            ops.cast(ops.convert_to_tensor(self.distance_bias), scores.dtype),
            ops.clip(distance, 0, self.max_positions - 1),
            axis=0,
        )
        count = ops.cast(ops.maximum(lengths, 1), scores.dtype)
        weights = ops.silu(scores + bias) * ops.cast(distance >= 0, scores.dtype) / count[:, None, None, None]
        weights = ops.cast(weights, values.dtype)
        record(self, weights)
        attended = ops.reshape(ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3)), (batch, time, width))
        gated = self.attended_norm(attended) * gate
        if self.dropout_layer is not None:
            gated = self.dropout_layer(gated, training=training)
        return sequence + project(gated, self.output_kernel)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return sequence_shape(input_shape["sequence"])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "max_positions": self.max_positions,
            "dropout": self.dropout,
        }
