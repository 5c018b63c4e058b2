"""Multi-interest extraction of DMIN."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    check_rate,
    check_units,
    read_history,
)
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.sequences._common import check_target, check_weight, next_event_loss
from tf_interformer.layers.sequences.recency_positions import RecencyPositions
from tf_interformer.layers.sequences.sequence_attention import SequenceAttention
from tf_interformer.layers.sequences.target_attention import TargetAttention
from tf_interformer.layers.sequences.transformer_block import TransformerBlock


@register
class MultiInterest(WithSoftNorms):
    """Behaviour refiner and multi-interest extractor of DMIN.

    A causal Transformer block refines the events, `Z`. A second self-attention keeps its heads apart: head h gives
    `X_h = LN(Z + head_h W_h)`, `I_h = LN(X_h + FFN_h(X_h))`, and target attention with positions pools each `I_h` to
    an interest. The interests stand side by side.

    Printed: refiner, one interest per head, target attention with positions, the auxiliary loss of DIEN on the
    refined events. Ours: one attention network for all interests, positions counted from the latest event, the
    causal mask (without it a refined event would know the next one), and no auxiliary loss by default.

    Args:
        num_interests: int. Heads of the extractor; must divide the width. Defaults to `4`.
        num_heads: int. Heads of the refiner; must divide the width. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width of the networks; `None` means the width. Defaults to `None`.
        attention_units: list of int. Hidden layers of the target attention. Defaults to `(36,)`.
        auxiliary_weight: float. Weight of the auxiliary loss, in training only; 0 for none. Defaults to `0.0`.
        max_positions: int. See `RecencyPositions`. Defaults to `128`.
        dropout: float. Rate in the refiner. Defaults to `0.0`.
        norm_epsilon: float. What the norms where residuals join add to the variance, see `Backbone`. Defaults to `1.0`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch], "target": [batch, dim]}`. Padding may hold anything.
    Output shape: `[batch, num_interests * dim]`; zeros for an empty history.

    Raises:
        ValueError: If an argument is out of range or the target is not as wide as an event.

    Example:

    >>> MultiInterest(num_interests=2)({
    ...     "sequence": np.ones((3, 50, 16), "float32"),
    ...     "lengths": np.array([0, 7, 50]),
    ...     "target": np.ones((3, 16), "float32"),
    ... }).shape
    TensorShape([3, 32])

    Reference:
        [Deep Multi-Interest Network, CIKM 2020](https://doi.org/10.1145/3340531.3412092)
    """

    def __init__(
        self,
        num_interests: int = 4,
        num_heads: int = 4,
        ffn_dim: int | None = None,
        attention_units: Sequence[int] = (36,),
        auxiliary_weight: float = 0.0,
        max_positions: int = 128,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_interests = check_positive("num_interests", num_interests)
        self.num_heads = check_positive("num_heads", num_heads)
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.attention_units = check_units("attention_units", attention_units)
        self.auxiliary_weight = check_weight("auxiliary_weight", auxiliary_weight)
        self.max_positions = check_positive("max_positions", max_positions)
        self.dropout = check_rate("dropout", dropout)

    def build(self, input_shape: Any) -> None:
        batch, time, width = check_target(input_shape)
        policy, heads, hidden = self.dtype_policy, self.num_interests, self.ffn_dim or width
        shapes = {"sequence": (batch, time, width), "lengths": (batch,)}
        self.refiner = TransformerBlock(
            self.num_heads,
            self.ffn_dim,
            causal=True,
            dropout=self.dropout,
            norm_epsilon=self.norm_epsilon,
            dtype=policy,
            name="refiner",
        )
        build_sublayer(self.refiner, shapes)
        self.extractor = SequenceAttention(heads, project_output=False, dtype=policy, name="extractor")
        build_sublayer(self.extractor, shapes)
        kernels = {
            "head_kernels": (heads, width // heads, width),
            "hidden_kernels": (heads, width, hidden),
            "output_kernels": (heads, hidden, width),
        }
        for name, shape in kernels.items():
            # The layers' own initialisers would take the heads for positions of a convolution.
            initializer = keras.initializers.RandomNormal(stddev=shape[1] ** -0.5)
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer=initializer))
        for name, size in {"hidden_biases": hidden, "output_biases": width}.items():
            setattr(self, name, self.add_weight(name=name, shape=(heads, 1, size), initializer="zeros"))
        self.head_norm = self.make_norm("head_norm")
        self.output_norm = self.make_norm("output_norm")
        for norm in (self.head_norm, self.output_norm):
            build_sublayer(norm, (batch, heads, time, width))
        self.positions = RecencyPositions(width, self.max_positions, dtype=policy, name="positions")
        build_sublayer(self.positions, shapes)
        self.target_attention = TargetAttention(
            self.attention_units, normalize=True, dtype=policy, name="target_attention"
        )
        pooled = {"sequence": (None, time, width), "lengths": (None,), "target": (None, width)}
        build_sublayer(self.target_attention, {**pooled, "context": (None, time, width)})
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        events, lengths = read_history(inputs["sequence"], inputs["lengths"])
        _, time, width = ops.shape(events)
        heads = self.num_interests
        refined = self.refiner({"sequence": events, "lengths": lengths}, training=training)
        if training and self.auxiliary_weight:
            self.add_loss(self.auxiliary_weight * next_event_loss(refined, events, lengths))
        x = ops.matmul(self.extractor({"sequence": refined, "lengths": lengths}), self._as(self.head_kernels, refined))
        x = self.head_norm(ops.expand_dims(refined, 1) + x)  # [B, H, T, D]
        hidden = ops.relu(ops.matmul(x, self._as(self.hidden_kernels, x)) + self._as(self.hidden_biases, x))
        hidden = ops.matmul(hidden, self._as(self.output_kernels, x)) + self._as(self.output_biases, x)
        x = self.output_norm(x + hidden)

        positions = self.positions({"sequence": events, "lengths": lengths})
        pooled = self.target_attention(
            {
                "sequence": ops.reshape(x, (-1, time, width)),
                "lengths": ops.repeat(lengths, heads, axis=0),
                "target": ops.repeat(inputs["target"], heads, axis=0),
                "context": ops.repeat(positions, heads, axis=0),
            }
        )
        return ops.reshape(pooled, (-1, heads * width))

    def _as(self, weight: Any, x: Tensor) -> Tensor:
        return ops.cast(ops.convert_to_tensor(weight), x.dtype)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, _, width = check_target(input_shape)
        return batch, self.num_interests * width

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_interests": self.num_interests,
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "attention_units": list(self.attention_units),
            "auxiliary_weight": self.auxiliary_weight,
            "max_positions": self.max_positions,
            "dropout": self.dropout,
        }
