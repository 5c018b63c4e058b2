"""Products of pairs of tokens, averaged by an attention."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    check_positive,
    project,
    softmax,
    stack_tokens,
    tokens_shape,
    wide,
)
from tf_interformer.layers._pairs import of_pairs


@register
class PairAttention(keras.layers.Layer):
    """Attention-based pooling of AFM (section 3): `sum_ij a_ij (v_i * v_j)` over all tokens i < j.

    `a'_ij = h . relu((v_i * v_j) W + b)`, `a = softmax(a')` over the pairs, in float32 or wider.

    Args:
        attention_dim: int or `None`. Width of the hidden layer; `None` means the width of the tokens. Defaults to
            `None`.

    Input shape: `[batch, tokens, dim]` with at least three tokens, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, dim]`.

    Raises:
        ValueError: If `attention_dim` is out of range or there are fewer than three tokens.

    Example:

    >>> PairAttention()(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 16])

    Reference:
        [AFM, arXiv 1708.04617](https://arxiv.org/abs/1708.04617)
    """

    def __init__(self, attention_dim: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention_dim = None if attention_dim is None else check_positive("attention_dim", attention_dim)

    def build(self, input_shape: Any) -> None:
        _, tokens, width = tokens_shape(input_shape)
        if (tokens or 0) < 3:
            raise ValueError(f"An attention over pairs needs at least three tokens. Received: {tokens}")
        hidden = self.attention_dim or width
        self.kernel = self.add_weight(name="kernel", shape=(width, hidden), initializer="lecun_normal")
        self.bias = self.add_weight(name="bias", shape=(hidden,), initializer="zeros")
        self.score_kernel = self.add_weight(name="score_kernel", shape=(hidden, 1), initializer="lecun_normal")
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        x = stack_tokens(inputs)
        pairs = of_pairs(ops.multiply, x, x)
        hidden = ops.relu(project(pairs, self.kernel) + ops.cast(self.bias, pairs.dtype))
        scores = wide(ops.transpose(project(hidden, self.score_kernel), (0, 2, 1)))  # [B, 1, pairs]
        weights = ops.cast(softmax(scores), pairs.dtype)
        return ops.squeeze(ops.matmul(weights, pairs), axis=1)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, _, width = tokens_shape(input_shape)
        return batch, width

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "attention_dim": self.attention_dim}
