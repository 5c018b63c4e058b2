"""TokenFormer."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.backbones._targets import Targets
from tf_interformer.backbones.baselines._joined_sequence import JoinedSequence, with_learned
from tf_interformer.layers._common import Tensor, check_positive, check_rate, check_units, valid_positions
from tf_interformer.layers.tokenformer_block import TokenFormerBlock


@register
class TokenFormer(Targets, JoinedSequence):
    """TokenFormer: one Transformer over `[fields; events; candidate]`, whose upper layers are local (arXiv 2604.13737).

    In the lower layers every token sees all before it; in the upper ones a sliding window that shrinks from layer to
    layer, and the fields are gone, so that the few numbers they vary by do not flatten the events. Rotary positions
    are 0 for fields, 1 and on for events, and behind the last event for the candidate. See `TokenFormerBlock`. The
    representation is the candidate's tokens and a learned one behind them, flattened.

    Printed: the order of tokens, gates, SwiGLU, positions, full layers below and windows of 32 and 16 above. Ours: that
    full means causal, which `causal` changes; what is read out; no tokens between the three parts; the soft norms on
    entry and at the end.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        targets: dict or `None`. Name of a sequence -> for each field of its events the index of the feature token that
            shares its table, -1 where there is none: together the candidate's tokens, the others are fields. A `Ranker`
            that makes the model by name fills it in. Defaults to `None`: all are fields.
        num_full_layers: int. Defaults to `2`.
        windows: list of int. Of the layers above. Defaults to `(32, 16)`.
        num_heads: int. Must divide the width into heads of even width. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width of the networks; `None` means four times the width. Defaults to `None`.
        causal: bool. Whether a token sees none behind it. Defaults to `True`.
        max_positions: int. See `SequenceJoin`. Defaults to `128`.
        dropout: float. Rate in the blocks. Defaults to `0.0`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`, with
        at least one sequence. Padding may hold anything, even NaN.
    Output: `{task: [batch, (candidate tokens + 1) * dim]}`.

    Raises:
        ValueError: If an argument is out of range, there is no sequence, or `targets` does not fit the features.

    Example:

    >>> model = TokenFormer(tasks=["click"], targets={"views": [3]})
    >>> model({
    ...     "features": np.ones((3, 5, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 16), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ... })["click"].shape
    TensorShape([3, 32])

    Reference:
        [TokenFormer, arXiv 2604.13737](https://arxiv.org/abs/2604.13737)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        targets: Mapping[str, Sequence[int]] | None = None,
        num_full_layers: int = 2,
        windows: Sequence[int] = (32, 16),
        num_heads: int = 4,
        ffn_dim: int | None = None,
        causal: bool = True,
        max_positions: int = 128,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, max_positions=max_positions, **kwargs)
        self.keep_targets(targets)
        self.num_full_layers = check_positive("num_full_layers", num_full_layers)
        self.windows = check_units("windows", windows)
        self.num_heads = check_positive("num_heads", num_heads)
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.causal = causal
        self.dropout = check_rate("dropout", dropout)

    def build_parts(self, features: Any, histories: list[dict[str, Any]]) -> None:
        batch, tokens, width = features
        self.check_target_features(tokens)
        policy = self.dtype_policy
        self.answer = self.add_weight(
            name="answer", shape=(1, width), initializer=keras.initializers.RandomNormal(stddev=0.05)
        )
        stream = {"sequence": (batch, None, width), "mask": (batch, None)}
        self.blocks = []
        for i, window in enumerate([*[None] * self.num_full_layers, *self.windows]):
            block = TokenFormerBlock(
                self.num_heads, self.ffn_dim, window, self.causal, self.dropout, dtype=policy, name=f"block_{i}"
            )
            self.blocks.append(self.part(block, stream))
        norm = self.make_norm("output_norm", rms=True)
        self.output_norm = self.part(norm, (batch, len(self.target_features) + 1, width))

    def interact(self, features: Tensor, histories: list[dict[str, Tensor]], training: bool | None) -> Tensor:
        (history,) = histories
        events, lengths = history["sequence"], history["lengths"]
        chosen = self.target_features
        fields = [features[:, i] for i in range(features.shape[1]) if i not in chosen]
        candidate = ops.stack([features[:, i] for i in chosen], axis=1) if chosen else features[:, :0]
        candidate = with_learned(candidate, self.answer)
        count, last = len(fields), len(chosen) + 1
        parts = [ops.stack(fields, axis=1), events, candidate] if fields else [events, candidate]
        stream = {"sequence": ops.concatenate(parts, axis=1), **self._places(events, lengths, count, last)}
        for i, block in enumerate(self.blocks):
            if i == self.num_full_layers:
                stream = {name: value[:, count:] for name, value in stream.items()}
            stream["sequence"] = block(stream, training=training)
        x = stream["sequence"][:, -last:]
        return ops.reshape(self.output_norm(x), (-1, last * features.shape[2]))

    def _places(self, events: Tensor, lengths: Tensor, count: int, last: int) -> dict[str, Tensor]:
        """Mask, order and positions of so many fields, the events and so many tokens behind them."""
        batch, time = ops.shape(events)[:2]
        length = ops.expand_dims(lengths, 1)
        zeros = ops.zeros((batch, 1), "int32")
        first, behind = zeros + ops.arange(count)[None], length + ops.arange(last)[None]
        within = zeros + ops.arange(time)[None]
        there = [ops.ones((batch, count), "bool"), valid_positions(lengths, time), ops.ones((batch, last), "bool")]
        return {
            "mask": ops.concatenate(there, axis=1),
            "order": ops.concatenate([first, count + within, count + behind], axis=1),
            "positions": ops.concatenate([0 * first, 1 + within, 1 + length + 0 * behind], axis=1),
        }

    def size(self, tokens: int, width: int) -> int:
        return (len(self.target_features) + 1) * width

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "targets": self.targets,
            "num_full_layers": self.num_full_layers,
            "windows": list(self.windows),
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "causal": self.causal,
            "dropout": self.dropout,
        }
