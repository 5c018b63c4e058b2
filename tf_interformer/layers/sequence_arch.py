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
    sequence_shape,
    valid_positions,
)
from tf_interformer.layers._token_norm import TokenNorm
from tf_interformer.layers.multi_head_attention import MultiHeadAttention
from tf_interformer.layers.personalized_ffn import MODES, PersonalizedFFN


@register
class SequenceArch(keras.layers.Layer):
    """Sequence Arch of InterFormer: `S' = MHA(PFFN(X_sum, S))` (Eqs. 8 and 9).

    With `residual=True`, which the paper does not print, each of the two is a pre-norm residual branch:
    `S <- S + PFFN(X_sum, LN(S))`, `S <- S + MHA(LN(S))`; `W_PFFN` then starts near the identity.

    Args:
        personalized_ffn: str or `None`. `"linear"`, `"two_layer"` or `"plain"`, see `PersonalizedFFN`; `None`
            leaves it out. Defaults to `"linear"`.
        ffn_hidden_dim: int or `None`. Hidden width of the last two. Defaults to `None`.
        attention: bool. Whether there is an attention. Defaults to `True`.
        num_heads: int. Must divide the width of the sequence. Defaults to `4`.
        rotary: bool. Rotary positions in the attention. Defaults to `True`.
        rotary_offset: int. How many tokens at the front stay unrotated. Defaults to `0`.
        num_cls_tokens: int. How many tokens at the front of the sequence are CLS tokens, which `lengths` does not
            count. Defaults to `0`.
        dropout: float. Rate after each of the two. Defaults to `0.0`.
        residual: bool. Pre-norm residual branches. Defaults to `True`.

    Input: `{"sequence": [batch, C + time, dim], "lengths": [batch], "summary": [batch, n, dim]}`.
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
        rotary: bool = True,
        rotary_offset: int = 0,
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
        self.rotary = rotary
        self.rotary_offset = check_positive("rotary_offset", rotary_offset, minimum=0)
        self.num_cls_tokens = check_positive("num_cls_tokens", num_cls_tokens, minimum=0)
        self.dropout = check_rate("dropout", dropout)
        self.residual = residual
        if personalized_ffn is None and not attention:
            raise ValueError("At least one of `personalized_ffn` and `attention` must be set. Received: neither")

    def build(self, input_shape: Any) -> None:
        shape = sequence_shape(input_shape["sequence"])
        policy = self.dtype_policy
        self.dropout_layer = None
        if self.dropout:
            self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=policy, name="dropout")
            build_sublayer(self.dropout_layer, shape)
        if self.personalized_ffn is not None:
            shapes = {"sequence": shape}
            if self.personalized_ffn != "plain":
                shapes["summary"] = input_shape["summary"]
            self.ffn = PersonalizedFFN(self.personalized_ffn, self.ffn_hidden_dim, dtype=policy, name="ffn")
            build_sublayer(self.ffn, shapes)
        if self.attention:
            self.mha = MultiHeadAttention(self.num_heads, self.rotary, self.rotary_offset, dtype=policy, name="mha")
            build_sublayer(self.mha, {"sequence": shape, "mask": shape[:2]})
        if self.residual:
            if self.personalized_ffn is not None:
                self.ffn_norm = TokenNorm(dtype=policy, name="ffn_norm")
                build_sublayer(self.ffn_norm, shape)
            if self.attention:
                self.mha_norm = TokenNorm(dtype=policy, name="mha_norm")
                build_sublayer(self.mha_norm, shape)
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        sequence = inputs["sequence"]
        if self.personalized_ffn is not None:
            x = {"sequence": self.ffn_norm(sequence) if self.residual else sequence}
            if self.personalized_ffn != "plain":
                x["summary"] = inputs["summary"]
            sequence = self._join(sequence, self.ffn(x), training)
        if self.attention:
            time = ops.shape(sequence)[1]
            mask = valid_positions(ops.cast(inputs["lengths"], "int32") + self.num_cls_tokens, time)
            x = self.mha_norm(sequence) if self.residual else sequence
            sequence = self._join(sequence, self.mha({"sequence": x, "mask": mask}), training)
        return sequence

    def _join(self, sequence: Tensor, branch: Tensor, training: bool | None) -> Tensor:
        if self.dropout_layer is not None:
            branch = self.dropout_layer(branch, training=training)
        return sequence + branch if self.residual else branch

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
            "rotary_offset": self.rotary_offset,
            "num_cls_tokens": self.num_cls_tokens,
            "dropout": self.dropout,
            "residual": self.residual,
        }
