"""Attention over feature tokens that remembers pairs and avoids collapsed fields."""

import json
from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_choice,
    check_positive,
    project,
    shape_of,
    softmax,
    stack_tokens,
    tokens_shape,
    wide,
)
from tf_interformer.layers._recording import record
from tf_interformer.layers.collapse_avoiding_attention import CollapseAvoidingAttention
from tf_interformer.layers.combo_id_attention import ComboIdAttention
from tf_interformer.layers.multi_head_attention import check_heads

FUSIONS = ("gated", "weighted_sum", "multiply")


@register
class DualEnhancedAttention(keras.layers.Layer):
    """Dual Enhanced Attention: inner products and remembered pairs, without collapsed fields (arXiv 2503.11233).

    `A_qk = q_i k_j / sqrt(D / H)` is fused with the score `A_combo` of `ComboIdAttention`; the pairs that
    `CollapseAvoidingAttention` filters are then masked, and `Y = (softmax(A + log M) V) W_out`. That there are these
    two attentions and several fusions is the paper's; the formulas are ours:

    - `"gated"`: `A = g * A_combo + (1 - g) * A_qk`, `g = sigmoid(a A_combo + b A_qk + c)` per pair, with learnable
      `a`, `b`, `c` per head, all zero at first;
    - `"weighted_sum"`: the same with one learnable `g` per head;
    - `"multiply"`: `A = A_combo * A_qk`, so that a pair without ids has the score 0.

    The mask comes after the fusion, because a gate or a product would turn a filtered pair into any number. With both
    switches off this is plain multi-head self-attention.

    Args:
        num_heads: int. H; must divide the width of the tokens. Defaults to `4`.
        combo: bool. Whether pairs of ids are remembered. Defaults to `True`.
        collapse_avoiding: bool. Whether pairs of collapsed fields are filtered. Defaults to `True`.
        fusion: str. `"gated"`, `"weighted_sum"` or `"multiply"`. Defaults to `"gated"`.
        value_embedding: bool. Add the pairs' own embeddings to the output, `sum_j softmax(A)_ij u_ij W_u`. Ours.
            Defaults to `False`.
        combo_config: dict or `None`. Further arguments of `ComboIdAttention`. Defaults to `None`.
        collapse_config: dict or `None`. Arguments of `CollapseAvoidingAttention`. Defaults to `None`.

    Input: `{"tokens": [batch, N, dim], "ids": [batch, N]}`; without `combo` also the tokens alone or a list of tensors
        `[batch, dim]`.
    Output shape: `[batch, N, dim]`.

    Raises:
        ValueError: If an argument is out of range, `num_heads` does not divide the width, or `combo` has no ids.

    Example:

    >>> attention = DualEnhancedAttention(num_heads=2, combo_config={"codebook_size": 1000})
    >>> attention({"tokens": np.ones((3, 5, 16), "float32"), "ids": np.array([[0, 1, 2, 3, 4]] * 3)}).shape
    TensorShape([3, 5, 16])

    Reference:
        [Dual Enhanced Attention, arXiv 2503.11233](https://arxiv.org/abs/2503.11233)
    """

    def __init__(
        self,
        num_heads: int = 4,
        combo: bool = True,
        collapse_avoiding: bool = True,
        fusion: str = "gated",
        value_embedding: bool = False,
        combo_config: dict[str, Any] | None = None,
        collapse_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = check_positive("num_heads", num_heads)
        self.use_combo = combo
        self.use_collapse_avoiding = collapse_avoiding
        self.fusion = check_choice("fusion", fusion, FUSIONS)
        self.value_embedding = value_embedding
        # As text, because tf_keras would wrap a dict into something that no longer serialises.
        self._combo_config = json.dumps(combo_config)
        self._collapse_config = json.dumps(collapse_config)
        if value_embedding and not combo:
            raise ValueError("`value_embedding` needs `combo`. Received: value_embedding=True, combo=False")
        self._make_parts()

    def _make_parts(self) -> None:
        """Makes the two attentions, which also checks their arguments."""
        self.combo = self.collapse_avoiding = None
        if self.use_combo:
            given = json.loads(self._combo_config) or {}
            self.combo = ComboIdAttention(
                self.num_heads, return_pairs=self.value_embedding, dtype=self.dtype_policy, name="combo", **given
            )
        if self.use_collapse_avoiding:
            given = json.loads(self._collapse_config) or {}
            # Scores stay wide up to the softmax.
            dtype = "float64" if self.compute_dtype == "float64" else "float32"
            self.collapse_avoiding = CollapseAvoidingAttention(name="collapse_avoiding", **given, dtype=dtype)

    def build(self, input_shape: Any) -> None:
        shape = attention_shape(input_shape)
        batch, tokens, width = shape
        tokens, width = tokens or 0, width or 0
        check_heads(width, self.num_heads)
        heads = self.num_heads
        self.qkv_kernel = self.add_weight(name="qkv_kernel", shape=(width, 3 * width), initializer="lecun_normal")
        self.output_kernel = self.add_weight(name="output_kernel", shape=(width, width), initializer="lecun_normal")
        if self.combo is not None:
            build_sublayer(self.combo, {"tokens": shape, "ids": shape[:2]})
            if self.fusion == "gated":
                self.gate_kernel = self.add_weight(name="gate_kernel", shape=(2, heads), initializer="zeros")
                self.gate_bias = self.add_weight(name="gate_bias", shape=(heads,), initializer="zeros")
            elif self.fusion == "weighted_sum":
                self.balance = self.add_weight(name="balance", shape=(heads,), initializer="zeros")
            if self.value_embedding:
                dim = self.combo.codebook_dim or width
                self.pair_kernel = self.add_weight(name="pair_kernel", shape=(dim, width), initializer="lecun_normal")
        if self.collapse_avoiding is not None:
            build_sublayer(self.collapse_avoiding, {"scores": (batch, heads, tokens, tokens), "tokens": shape})
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        tokens, ids = split_ids(inputs, self.use_combo)
        batch, count, width = ops.shape(tokens)
        heads = self.num_heads
        size = width // heads
        qkv = ops.reshape(project(tokens, self.qkv_kernel), (batch, count, 3, heads, size))
        queries, keys, values = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 3)  # [B, H, N, D / H]
        scores = wide(ops.matmul(queries * size**-0.5, ops.transpose(keys, (0, 1, 3, 2))))
        pairs = None
        if self.combo is not None:
            remembered = self.combo({"tokens": tokens, "ids": ids})
            if self.value_embedding:
                pairs, remembered = remembered["pairs"], remembered["scores"]
            scores = self._fuse(wide(remembered), scores)
        if self.collapse_avoiding is not None:
            scores = self.collapse_avoiding({"scores": scores, "tokens": tokens}, training=training)
        weights = softmax(scores)
        record(self, weights)
        weights = ops.cast(weights, values.dtype)
        attended = ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3))  # [B, N, H, D / H]
        if pairs is not None:
            read = ops.matmul(ops.transpose(weights, (0, 2, 1, 3)), pairs)  # [B, N, H, dc]
            kernel = ops.reshape(ops.cast(self.pair_kernel, read.dtype), (-1, heads, size))
            attended = attended + ops.einsum("bnhc,chd->bnhd", read, kernel)
        return project(ops.reshape(attended, (batch, count, width)), self.output_kernel)

    def _fuse(self, remembered: Tensor, scores: Tensor) -> Tensor:
        if self.fusion == "multiply":
            return remembered * scores
        if self.fusion == "weighted_sum":
            gate = ops.reshape(ops.sigmoid(ops.cast(self.balance, scores.dtype)), (-1, 1, 1))
        else:
            of_pair, of_product = ops.unstack(ops.cast(self.gate_kernel, scores.dtype)[:, :, None, None], 2)
            bias = ops.cast(self.gate_bias, scores.dtype)[:, None, None]
            gate = ops.sigmoid(of_pair * remembered + of_product * scores + bias)
        return gate * remembered + (1.0 - gate) * scores

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return attention_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "combo": self.use_combo,
            "collapse_avoiding": self.use_collapse_avoiding,
            "fusion": self.fusion,
            "value_embedding": self.value_embedding,
            "combo_config": json.loads(self._combo_config),
            "collapse_config": json.loads(self._collapse_config),
        }


def attention_shape(input_shape: Any) -> Shape:
    """Returns `(B, N, D)` for tokens with or without ids."""
    return shape_of(tokens_shape(input_shape["tokens"] if isinstance(input_shape, dict) else input_shape))


def split_ids(inputs: Any, needed: bool) -> tuple[Tensor, Tensor | None]:
    """Returns the tokens `[B, N, D]` and the ids `[B, N]`, or None where there are none and none are needed."""
    ids = inputs.get("ids") if isinstance(inputs, dict) else None
    if needed and ids is None:
        raise ValueError(
            'Attention by pairs of ids needs the ids: pass {"tokens": [batch, N, dim], "ids": [batch, N]}, '
            "or choose combo=False. Received: tokens without ids"
        )
    return stack_tokens(inputs["tokens"] if isinstance(inputs, dict) else inputs), ids
