"""Pooling of a history by what the candidate asks of it."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._attention_pooling import for_each_head, pool_by_scores
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    check_positive,
    project,
    read_history,
    rows_of,
    sequence_shape,
    wide,
)
from tf_interformer.layers.multi_head_attention import check_heads


@register
class TargetPooling(keras.layers.Layer):
    """Target-aware summary: queries made of the candidate attend to the events of a history.

    `Q = reshape(x_target W_Q)` in `R^{k x d}`, `P = MHA(Q, S W_K, S W_V)`. It is InterFormer's pooling by attention
    (Eq. 4) with the candidate's own queries in place of learned ones. The paper has none: there the candidate reaches
    the history through CLS tokens and PFFN alone. Ours, after the target attention of Deep Interest Network.

    Args:
        num_tokens: int. k, the number of queries. Defaults to `2`.
        num_heads: int. Must divide the width of the sequence. Defaults to `4`.
        seeds: bool. Whether the queries have a learned part as well, `Q = reshape(x_target W_Q) + Q_0`: what is asked
            whoever the candidate is, as `PoolingByAttention` does. Defaults to `False`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch], "target": [batch, any]}`; positions from `lengths` on
    are padding. Many candidates may ask one history: with `"row"`, int `[N]`, `"target"` is `[N, any]`, and says which
    row of the histories each asks.
    Output shape: `[N, num_tokens, dim]`, where N is the batch without rows; zeros for an empty history.

    Raises:
        ValueError: If an argument is not a positive integer or `num_heads` does not divide the width.

    Example:

    >>> pooled = TargetPooling(num_tokens=2, num_heads=2)({
    ...     "sequence": np.ones((3, 50, 16), "float32"), "lengths": np.array([0, 7, 50]),
    ...     "target": np.ones((3, 32), "float32"),
    ... })
    >>> pooled.shape
    TensorShape([3, 2, 16])

    Reference:
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
        [Deep Interest Network, arXiv 1706.06978](https://arxiv.org/abs/1706.06978)
    """

    def __init__(self, num_tokens: int = 2, num_heads: int = 4, seeds: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_tokens = check_positive("num_tokens", num_tokens)
        self.num_heads = check_positive("num_heads", num_heads)
        self.seeds = seeds

    def build(self, input_shape: Any) -> None:
        width = sequence_shape(input_shape["sequence"])[2] or 0
        check_heads(width, self.num_heads)
        target = int(input_shape["target"][-1])
        shapes = {
            "query_kernel": (target, self.num_tokens * width),
            "key_kernel": (width, width),
            "value_kernel": (width, width),
            "output_kernel": (width, width),
        }
        for name, shape in shapes.items():
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer="lecun_normal"))
        if self.seeds:
            start = keras.initializers.RandomNormal(stddev=1.0)
            self.seed_queries = self.add_weight(name="seed_queries", shape=[self.num_tokens * width], initializer=start)
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        sequence, lengths = read_history(inputs["sequence"], inputs["lengths"])
        width, heads, count = sequence.shape[-1], self.num_heads, self.num_tokens
        # `W_K` is applied to what makes the queries: no key for each event, and one product for each candidate.
        kernel = ops.cast(self.query_kernel, sequence.dtype)
        if self.seeds:
            seeds = ops.expand_dims(ops.cast(self.seed_queries, sequence.dtype), 0)
            kernel = ops.concatenate([kernel, seeds], axis=0)
        kernel = ops.reshape(kernel, (-1, count, width)) * (width // heads) ** -0.5
        kernel = project(for_each_head(kernel, heads, 2), ops.transpose(self.key_kernel))
        kernel = ops.reshape(kernel, (-1, count * heads * width))
        target = inputs["target"]
        queries = project(target, kernel[: target.shape[1]])
        if self.seeds:
            queries = queries + kernel[target.shape[1] :]
        row = inputs.get("row")
        if row is not None and sequence.shape[0] == 1:  # all ask the same history: no copies of it
            scores = ops.matmul(ops.reshape(queries, (-1, width)), ops.transpose(sequence[0]))  # [N k H, T]
        else:
            sequence, lengths = rows_of(sequence, row), rows_of(lengths, row)
            queries = ops.reshape(queries, (-1, count * heads, width))
            scores = ops.matmul(queries, ops.transpose(sequence, (0, 2, 1)))  # [B, k H, T]
        return pool_by_scores(self, sequence, lengths, wide(scores))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        _, _, width = sequence_shape(input_shape["sequence"])
        return (input_shape["target"][0], self.num_tokens, width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_tokens": self.num_tokens, "num_heads": self.num_heads, "seeds": self.seeds}
