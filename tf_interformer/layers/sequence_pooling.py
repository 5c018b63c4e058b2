"""Behaviour sequences as tokens, for models that interact features only."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_choice,
    check_positive,
    fresh,
    masked_mean,
    project,
    read_history,
    sequence_shape,
)
from tf_interformer.layers.pooling_by_attention import PoolingByAttention

POOLINGS = ("mean", "attention")


@register
class SequencePooling(keras.layers.Layer):
    """Early aggregation: each behaviour sequence becomes one token or a few, `x_s = pool(S_s) W_s`.

    This is what InterFormer sets out to avoid; its `information_flow="sole"`, and backbones that know features
    only, need it to see sequences at all.

    Args:
        dim: int. Width of the tokens.
        pooling: str. `"mean"` averages the events of a history; `"attention"` projects the events and pools them by
            learned queries (`PoolingByAttention`), for which the paper has no name here: it is ours. Defaults to
            `"mean"`.
        num_tokens: int. Tokens per sequence; more than one needs `"attention"`. Defaults to `1`.

    Input: `{"sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`.
    Output shape: `[batch, sequences * num_tokens, dim]`, the sequences in the order of their names. An empty history
    gives zeros.

    Raises:
        ValueError: If an argument is out of range or there is no sequence.

    Example:

    >>> inputs = {"sequences": {"viewed": np.ones((2, 50, 32), "float32")}, "lengths": {"viewed": np.array([50, 0])}}
    >>> SequencePooling(16)(inputs).shape
    TensorShape([2, 1, 16])
    """

    def __init__(self, dim: int, pooling: str = "mean", num_tokens: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = check_positive("dim", dim)
        self.pooling = check_choice("pooling", pooling, POOLINGS)
        self.num_tokens = check_positive("num_tokens", num_tokens)
        if pooling == "mean" and num_tokens > 1:
            raise ValueError(
                'More than one token per sequence needs pooling="attention". '
                f'Received: pooling="mean", num_tokens={num_tokens}'
            )

    def build(self, input_shape: Any) -> None:
        sequences = input_shape["sequences"]
        if not sequences:
            raise ValueError("There is no sequence to pool. Received: sequences={}")
        initializer = keras.initializers.LecunNormal()
        self.kernels, self.pools = [], []
        for i, name in enumerate(sorted(sequences)):
            batch, time, width = sequence_shape(sequences[name], name)
            self.kernels.append(
                self.add_weight(name=f"kernel_{i}", shape=(width, self.dim), initializer=fresh(initializer))
            )
            if self.pooling == "attention":
                self.pools.append(PoolingByAttention(self.num_tokens, 1, dtype=self.dtype_policy, name=f"pool_{i}"))
                build_sublayer(self.pools[i], {"sequence": (batch, time, self.dim), "lengths": (batch,)})
        super().build(input_shape)

    def call(self, inputs: dict[str, Any]) -> Tensor:
        tokens = []
        for i, name in enumerate(sorted(inputs["sequences"])):
            events, lengths = read_history(inputs["sequences"][name], inputs["lengths"][name])
            if self.pooling == "attention":
                events = project(events, self.kernels[i])
                tokens.append(self.pools[i]({"sequence": events, "lengths": lengths}))
            else:
                mean = ops.matmul(masked_mean(events, lengths), self.kernels[i])
                tokens.append(ops.expand_dims(mean, 1))
        return ops.concatenate(tokens, axis=1) if len(tokens) > 1 else tokens[0]

    def compute_output_shape(self, input_shape: Any) -> Shape:
        sequences = input_shape["sequences"]
        batch = next(iter(sequences.values()))[0]
        return batch, len(sequences) * self.num_tokens, self.dim

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim, "pooling": self.pooling, "num_tokens": self.num_tokens}
