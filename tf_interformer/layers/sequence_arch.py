"""The arch that lets the behaviours interact."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_choice,
    check_positive,
    check_rate,
    read_history,
    sequence_shape,
    valid_positions,
)
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.multi_head_attention import MultiHeadAttention
from tf_interformer.layers.personalized_ffn import MODES, PERSONALIZED, PersonalizedFFN

ROTARY = ("recent", "joint", "behaviours", "time", None)
# Of the weights that a fresh residual branch ends with.
BRANCH_START = 0.1


@register
class SequenceArch(WithSoftNorms):
    """Sequence Arch of InterFormer: `S' = MHA(PFFN(X_sum, S))` (Eqs. 8 and 9).

    With `residual=True`, which the paper does not print, each of the two is a residual branch, normalised where it
    joins: `S <- LN(S + PFFN(X_sum, S))`, `S <- LN(S + MHA(S))`; `W_PFFN` then starts near the identity.

    Args:
        personalized_ffn: str or `None`. `"linear"`, `"two_layer"` or `"plain"`, see `PersonalizedFFN`; `None`
            leaves it out. Defaults to `"linear"`.
        ffn_hidden_dim: int or `None`. Hidden width of the last two. Defaults to `None`.
        attention: bool. Whether there is an attention. Defaults to `True`.
        num_heads: int. Must divide the width of the sequence. Defaults to `4`.
        rotary: str or `None`. Rotary positions in the attention; the paper has them and does not say from where they
            count. `"recent"`: events back from the last one, the CLS tokens behind it, so that how far an event is
            from either does not depend on the length of the history. `"joint"`: all tokens from the first one, the
            CLS tokens in front. `"behaviours"`: the same without the CLS tokens, which stay unrotated.
            `"time"`, ours: each event where `"positions"` has it, the CLS tokens at 0, the present. Defaults to
            `"recent"`.
        num_cls_tokens: int. How many tokens at the front of the sequence are CLS tokens, which `lengths` does not
            count. Defaults to `0`.
        dropout: float. Rate after each of the two. Defaults to `0.0`.
        residual: bool. Residual branches. Defaults to `True`.
        norm_epsilon: float. What the norms where residuals join add to the variance, see `Backbone`. Defaults to `1.0`.

    Input: `{"sequence": [batch, C + time, dim], "lengths": [batch], "summary": [batch, n, dim]}`, with `rotary="time"`
        also `"positions"` `[batch, time]`.
    Output shape: that of the sequence. What stands at padded positions has no meaning.

    Raises:
        ValueError: If an argument is out of range, or neither PFFN nor attention is left.

    Example:

    >>> arch = SequenceArch(num_heads=2)
    >>> arch({
    ...     "sequence": np.ones((3, 50, 16), "float32"),
    ...     "lengths": np.array([0, 7, 50]),
    ...     "summary": np.ones((3, 4, 16), "float32"),
    ... }).shape
    TensorShape([3, 50, 16])

    Reference:
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    def __init__(
        self,
        personalized_ffn: str | None = "linear",
        ffn_hidden_dim: int | None = None,
        attention: bool = True,
        num_heads: int = 4,
        rotary: str | None = "recent",
        num_cls_tokens: int = 0,
        dropout: float = 0.0,
        residual: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.personalized_ffn = check_choice("personalized_ffn", personalized_ffn, (*MODES, None))
        self.ffn_hidden_dim = None if ffn_hidden_dim is None else check_positive("ffn_hidden_dim", ffn_hidden_dim)
        self.attention = attention
        self.num_heads = check_positive("num_heads", num_heads)
        self.rotary = check_choice("rotary", rotary, ROTARY)
        self.num_cls_tokens = check_positive("num_cls_tokens", num_cls_tokens, minimum=0)
        self.dropout = check_rate("dropout", dropout)
        self.residual = residual
        if personalized_ffn is None and not attention:
            raise ValueError("At least one of `personalized_ffn` and `attention` must be set. Received: neither")

    @property
    def needs_summary(self) -> bool:
        """Whether it reads a summary of the features."""
        return self.personalized_ffn in PERSONALIZED

    def build(self, input_shape: Any) -> None:
        shape = sequence_shape(input_shape["sequence"])
        policy = self.dtype_policy
        self.dropout_layer = None
        if self.dropout:
            self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=policy, name="dropout")
            build_sublayer(self.dropout_layer, shape)
        if self.personalized_ffn is not None:
            shapes = {"sequence": shape}
            if self.needs_summary:
                shapes["summary"] = input_shape["summary"]
            start = BRANCH_START if self.residual else 1.0
            self.ffn = PersonalizedFFN(self.personalized_ffn, self.ffn_hidden_dim, start, dtype=policy, name="ffn")
            build_sublayer(self.ffn, shapes)
        if self.attention:
            self.mha = MultiHeadAttention(self.num_heads, self.rotary is not None, dtype=policy, name="mha")
            build_sublayer(self.mha, {"sequence": shape, "mask": shape[:2]})
        if self.residual:
            if self.personalized_ffn is not None:
                self.ffn_norm = self.make_norm("ffn_norm")
                build_sublayer(self.ffn_norm, shape)
            if self.attention:
                self.mha_norm = self.make_norm("mha_norm")
                build_sublayer(self.mha_norm, shape)
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        sequence, lengths = read_history(inputs["sequence"], inputs["lengths"], leading=self.num_cls_tokens)
        if self.personalized_ffn is not None:
            x = {"sequence": sequence}
            if self.needs_summary:
                x["summary"] = inputs["summary"]
            sequence = self._join(sequence, self.ffn(x), "ffn_norm", training)
        if self.attention:
            time = ops.shape(sequence)[1]
            x = {"sequence": sequence, "mask": valid_positions(lengths + self.num_cls_tokens, time)}
            if self.rotary is not None:
                x["positions"] = self._positions(lengths, time, inputs.get("positions"))
            sequence = self._join(sequence, self.mha(x), "mha_norm", training)
        return sequence

    def _positions(self, lengths: Tensor, time: Any, given: Tensor | None = None) -> Tensor:
        """Where the tokens `[time]` or `[B, time]` stand."""
        if self.rotary == "time":
            if given is None:
                raise ValueError('`rotary="time"` needs "positions" among the inputs. Received: none')
            return ops.pad(given, ((0, 0), (self.num_cls_tokens, 0)))
        places = ops.arange(time)
        if self.rotary == "joint" or not self.num_cls_tokens:
            return places  # only differences count: without CLS tokens the two ends are alike
        events = places - self.num_cls_tokens
        if self.rotary == "behaviours":
            return ops.maximum(events, 0)
        lengths = ops.expand_dims(lengths, 1)
        return ops.where(events < 0, places + lengths, events)

    def _join(self, sequence: Tensor, branch: Tensor, norm: str, training: bool | None) -> Tensor:
        if self.dropout_layer is not None:
            branch = self.dropout_layer(branch, training=training)
        return getattr(self, norm)(sequence + branch) if self.residual else branch

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return sequence_shape(input_shape["sequence"])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "personalized_ffn": self.personalized_ffn,
            "ffn_hidden_dim": self.ffn_hidden_dim,
            "attention": self.attention,
            "num_heads": self.num_heads,
            "rotary": self.rotary,
            "num_cls_tokens": self.num_cls_tokens,
            "dropout": self.dropout,
            "residual": self.residual,
        }
