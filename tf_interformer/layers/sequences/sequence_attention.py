"""Multi-head attention over a sequence, of itself or of queries from elsewhere."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    check_positive,
    project,
    read_history,
    sequence_shape,
    softmax,
    valid_positions,
    wide,
)
from tf_interformer.layers._recording import record
from tf_interformer.layers.multi_head_attention import MASKED, check_heads


@register
class SequenceAttention(keras.layers.Layer):
    """Multi-head attention `softmax(Q_h K_h^T / sqrt(D / H)) V_h` over right-padded histories, without positions.

    Keys and values come from the sequence, queries from it too or from other tokens. There are no biases. What a
    query with nothing to attend to gets is zero.

    Args:
        num_heads: int. H; must divide the width. Defaults to `4`.
        causal: bool. Events attend to themselves and older ones only; not with a query. Defaults to `False`.
        project_output: bool. Join the heads by a last projection; otherwise they stay apart. Defaults to `True`.
        window: int or `None`. Events attend to those fewer places away; not with a query. Defaults to `None`: to all.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch]}`, optionally with `"query": [batch, Q, dim]`.
    Output shape: `[batch, Q or time, dim]`, or `[batch, heads, Q or time, dim / heads]` without the last projection.

    Raises:
        ValueError: If `num_heads` does not divide the width, or there are a query and `causal` or `window`.

    Example:

    >>> inputs = {"sequence": np.ones((3, 50, 16), "float32"), "lengths": np.array([0, 7, 50])}
    >>> SequenceAttention(num_heads=2, causal=True)(inputs).shape
    TensorShape([3, 50, 16])

    Reference:
        [Attention Is All You Need, arXiv 1706.03762](https://arxiv.org/abs/1706.03762)
    """

    def __init__(
        self,
        num_heads: int = 4,
        causal: bool = False,
        project_output: bool = True,
        window: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = check_positive("num_heads", num_heads)
        self.causal = causal
        self.project_output = project_output
        self.window = None if window is None else check_positive("window", window)

    def build(self, input_shape: Any) -> None:
        width = sequence_shape(input_shape["sequence"])[2] or 0
        check_heads(width, self.num_heads)
        queried = "query" in input_shape
        if queried and (self.causal or self.window is not None):
            raise ValueError(
                "`causal` and `window` need queries that are the events. "
                f"Received: causal={self.causal}, window={self.window} and a query"
            )
        widths = {"query_kernel": width, "kv_kernel": 2 * width} if queried else {"qkv_kernel": 3 * width}
        if self.project_output:
            widths["output_kernel"] = width
        for name, size in widths.items():
            setattr(self, name, self.add_weight(name=name, shape=(width, size), initializer="lecun_normal"))
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        sequence, lengths = read_history(inputs["sequence"], inputs["lengths"])
        batch, time, width = ops.shape(sequence)
        head = width // self.num_heads
        query = inputs.get("query")
        if query is None:
            queries, keys, values = self._heads(project(sequence, self.qkv_kernel), 3)
        else:
            queries = self._heads(project(query, self.query_kernel), 1)[0]
            keys, values = self._heads(project(sequence, self.kv_kernel), 2)
        scores = wide(ops.matmul(queries * head**-0.5, ops.transpose(keys, (0, 1, 3, 2))))  # [B, H, Q, T]
        valid = valid_positions(lengths, time)[:, None, None, :]
        if self.causal or self.window is not None:
            back = ops.arange(time)[:, None] - ops.arange(time)[None, :]
            if self.causal:
                valid = ops.logical_and(valid, (back >= 0)[None, None])
            if self.window is not None:
                valid = ops.logical_and(valid, (ops.abs(back) < self.window)[None, None])
        bias = ops.where(valid, ops.zeros((), scores.dtype), ops.cast(MASKED, scores.dtype))
        weights = softmax(scores + bias) * ops.cast(valid, scores.dtype)
        weights = ops.cast(weights, values.dtype)
        record(self, weights)
        attended = ops.matmul(weights, values)  # [B, H, Q, D / H]
        if not self.project_output:
            return attended
        count = ops.shape(attended)[2]
        return project(ops.reshape(ops.transpose(attended, (0, 2, 1, 3)), (batch, count, width)), self.output_kernel)

    def _heads(self, projected: Tensor, parts: int) -> list[Tensor]:
        batch, time, width = ops.shape(projected)
        apart = ops.reshape(projected, (batch, time, parts, self.num_heads, width // (parts * self.num_heads)))
        heads: list[Tensor] = ops.unstack(ops.transpose(apart, (2, 0, 3, 1, 4)), parts)
        return heads

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, time, width = sequence_shape(input_shape.get("query", input_shape["sequence"]))
        if self.project_output:
            return batch, time, width
        return batch, self.num_heads, time, (width or 0) // self.num_heads

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "causal": self.causal,
            "project_output": self.project_output,
            "window": self.window,
        }
