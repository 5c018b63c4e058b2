"""A block of TokenFormer."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    check_rate,
    project,
    read_events,
    sequence_shape,
    softmax,
    wide,
)
from tf_interformer.layers._recording import record
from tf_interformer.layers._token_norm import TokenNorm
from tf_interformer.layers.gated_feed_forward import GatedFeedForward
from tf_interformer.layers.multi_head_attention import MASKED, check_heads, wide_name
from tf_interformer.layers.rotary import rotary_angles, rotate


@register
class TokenFormerBlock(keras.layers.Layer):
    """A block of TokenFormer: attention that a gate lets through, then SwiGLU.

    `Z = X + sigmoid(X W_g) * MHA(RMS(X))`, `X' = Z + SwiGLU(RMS(Z))`. Queries and keys are rotated by where a token
    stands in time; who sees whom goes by the order of the tokens, in which there are no gaps.

    Args:
        num_heads: int. Must divide the width into heads of even width. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width; `None` means four times the width. Defaults to `None`.
        window: int or `None`. A token sees those fewer places away. Defaults to `None`: all.
        causal: bool. A token sees none behind it. Defaults to `True`.
        dropout: float. Rate after the attention and the network. Defaults to `0.0`.

    Input: `{"sequence": [batch, tokens, dim], "mask": [batch, tokens], "order": [batch, tokens], "positions": [batch,
        tokens]}`, the mask true where there is a token.
    Output shape: that of the sequence. What stands at masked positions has no meaning.

    Raises:
        ValueError: If an argument is out of range, `num_heads` does not divide the width, or heads are of odd width.

    Example:

    >>> places = np.tile(np.arange(50), (3, 1))
    >>> TokenFormerBlock(num_heads=2, window=16)({
    ...     "sequence": np.ones((3, 50, 16), "float32"),
    ...     "mask": np.ones((3, 50), bool),
    ...     "order": places,
    ...     "positions": places,
    ... }).shape
    TensorShape([3, 50, 16])

    Reference:
        [TokenFormer, arXiv 2604.13737](https://arxiv.org/abs/2604.13737)
    """

    def __init__(
        self,
        num_heads: int = 4,
        ffn_dim: int | None = None,
        window: int | None = None,
        causal: bool = True,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = check_positive("num_heads", num_heads)
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.window = None if window is None else check_positive("window", window)
        self.causal = causal
        self.dropout = check_rate("dropout", dropout)

    def build(self, input_shape: Any) -> None:
        shape = sequence_shape(input_shape["sequence"])
        width, policy = shape[2] or 0, self.dtype_policy
        check_heads(width, self.num_heads, rotary=True)
        for name, size in (("qkv_kernel", 3 * width), ("output_kernel", width), ("gate_kernel", width)):
            setattr(self, name, self.add_weight(name=name, shape=(width, size), initializer="lecun_normal"))
        self.attention_norm = TokenNorm(rms=True, dtype=policy, name="attention_norm")
        self.network_norm = TokenNorm(rms=True, dtype=policy, name="network_norm")
        self.network = GatedFeedForward(self.ffn_dim, dtype=policy, name="network")
        for layer in (self.attention_norm, self.network_norm, self.network):
            build_sublayer(layer, shape)
        self.dropout_layer = None
        if self.dropout:
            self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=policy, name="dropout")
            build_sublayer(self.dropout_layer, shape)
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        x = read_events(inputs["mask"], inputs["sequence"])
        attended = self._attend(self.attention_norm(x), inputs)
        x = x + self._drop(ops.sigmoid(project(x, self.gate_kernel)) * attended, training)
        return x + self._drop(self.network(self.network_norm(x)), training)

    def _attend(self, x: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        batch, count, width = ops.shape(x)
        head = width // self.num_heads
        apart = ops.reshape(project(x, self.qkv_kernel), (batch, count, 3, self.num_heads, head))
        queries, keys, values = ops.unstack(ops.transpose(apart, (2, 0, 3, 1, 4)), 3)  # [B, H, M, D / H]
        angles = rotary_angles(inputs["positions"], head, dtype=wide_name(self.compute_dtype))[:, None]
        scores = wide(
            ops.matmul(rotate(queries, angles) * head**-0.5, ops.transpose(rotate(keys, angles), (0, 1, 3, 2)))
        )
        seen = ops.broadcast_to(inputs["mask"][:, None], (batch, count, count))
        back = inputs["order"][:, :, None] - inputs["order"][:, None, :]
        if self.causal:
            seen = ops.logical_and(seen, back >= 0)
        if self.window is not None:
            seen = ops.logical_and(seen, ops.abs(back) < self.window)
        seen = seen[:, None]
        bias = ops.where(seen, ops.zeros((), scores.dtype), ops.cast(MASKED, scores.dtype))
        weights = ops.cast(softmax(scores + bias) * ops.cast(seen, scores.dtype), values.dtype)
        record(self, weights)
        attended = ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3))
        return project(ops.reshape(attended, (batch, count, width)), self.output_kernel)

    def _drop(self, x: Tensor, training: bool | None) -> Tensor:
        return x if self.dropout_layer is None else self.dropout_layer(x, training=training)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return sequence_shape(input_shape["sequence"])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "window": self.window,
            "causal": self.causal,
            "dropout": self.dropout,
        }
