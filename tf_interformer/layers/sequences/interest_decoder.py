"""Encoder and decoder of DMT."""

from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    check_rate,
    read_history,
)
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.sequences._common import check_target
from tf_interformer.layers.sequences.recency_positions import RecencyPositions
from tf_interformer.layers.sequences.transformer_block import TransformerBlock


@register
class InterestDecoder(WithSoftNorms):
    """DMT: a Transformer encoder over one kind of behaviour, and a decoder whose query is the target.

    Several sequences are several kinds of behaviour, each with a layer of its own.

    Printed: positions added to the events, encoder blocks with self-attention, decoder blocks in which the target
    attends to the encoded events. Ours: positions are counted from the latest event.

    Args:
        num_encoder_blocks: int. Defaults to `1`.
        num_decoder_blocks: int. Defaults to `1`.
        num_heads: int. Must divide the width of an event. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width; `None` means the width of an event. Defaults to `None`.
        max_positions: int. See `RecencyPositions`. Defaults to `128`.
        dropout: float. Defaults to `0.0`.
        norm_epsilon: float. What the norms where residuals join add to the variance, see `Backbone`. Defaults to `1.0`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch], "target": [batch, dim]}`, optionally with
    `"encoded": [batch, time, dim]`, what `before_target` returned. Padding may hold anything.
    Output shape: `[batch, dim]`.

    Raises:
        ValueError: If an argument is out of range or the target is not as wide as an event.

    Example:

    >>> InterestDecoder()({
    ...     "sequence": np.ones((3, 50, 16), "float32"),
    ...     "lengths": np.array([0, 7, 50]),
    ...     "target": np.ones((3, 16), "float32"),
    ... }).shape
    TensorShape([3, 16])

    Reference:
        [Deep Multifaceted Transformers, CIKM 2020](https://doi.org/10.1145/3340531.3412697)
    """

    def __init__(
        self,
        num_encoder_blocks: int = 1,
        num_decoder_blocks: int = 1,
        num_heads: int = 4,
        ffn_dim: int | None = None,
        max_positions: int = 128,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_encoder_blocks = check_positive("num_encoder_blocks", num_encoder_blocks)
        self.num_decoder_blocks = check_positive("num_decoder_blocks", num_decoder_blocks)
        self.num_heads = check_positive("num_heads", num_heads)
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.max_positions = check_positive("max_positions", max_positions)
        self.dropout = check_rate("dropout", dropout)

    def build(self, input_shape: Any) -> None:
        batch, time, width = check_target(input_shape)
        shapes = {"sequence": (batch, time, width), "lengths": (batch,)}
        self.positions = RecencyPositions(width, self.max_positions, dtype=self.dtype_policy, name="positions")
        build_sublayer(self.positions, shapes)
        self.encoder = self._blocks("encoder", self.num_encoder_blocks, shapes)
        self.decoder = self._blocks("decoder", self.num_decoder_blocks, {**shapes, "query": (batch, 1, width)})
        super().build(input_shape)

    def _blocks(self, name: str, count: int, shapes: Any) -> list[TransformerBlock]:
        blocks = [
            TransformerBlock(
                self.num_heads,
                self.ffn_dim,
                "relu",
                dropout=self.dropout,
                norm_epsilon=self.norm_epsilon,
                dtype=self.dtype_policy,
                name=f"{name}_{i}",
            )
            for i in range(count)
        ]
        for block in blocks:
            build_sublayer(block, shapes)
        return blocks

    def before_target(self, inputs: dict[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        """Returns the encoded events, which do not depend on the target: `"encoded"`."""
        x, lengths = read_history(inputs["sequence"], inputs["lengths"])
        x = x + self.positions({"sequence": x, "lengths": lengths})
        for block in self.encoder:
            x = block({"sequence": x, "lengths": lengths}, training=training)
        return {"encoded": x}

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        x = (inputs if "encoded" in inputs else self.before_target(inputs, training))["encoded"]
        query = ops.expand_dims(inputs["target"], 1)
        for block in self.decoder:
            query = block({"sequence": x, "lengths": inputs["lengths"], "query": query}, training=training)
        return ops.squeeze(query, axis=1)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, _, width = check_target(input_shape)
        return batch, width

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_encoder_blocks": self.num_encoder_blocks,
            "num_decoder_blocks": self.num_decoder_blocks,
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "max_positions": self.max_positions,
            "dropout": self.dropout,
        }
