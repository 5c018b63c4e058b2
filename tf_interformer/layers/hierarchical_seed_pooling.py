"""Pooling of a history in two steps."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    read_history,
    sequence_shape,
)
from tf_interformer.layers._token_norm import TokenNorm
from tf_interformer.layers.sequences.sequence_attention import SequenceAttention


@register
class HierarchicalSeedPooling(keras.layers.Layer):
    """Hierarchical seed pooling (HSP) of Kunlun: many learned seeds ask the history, then few tokens are made of them.

    `H = MHA(LN(seeds), S, S)`, `Y = sum_k Z_k^T H W_k`: the second step mixes tokens and widths by k pairs of
    matrices, for less than one matrix between all numbers of H and all of Y would cost. An empty history gives zeros.

    Args:
        num_tokens: int. Tokens of Y. Defaults to `4`.
        num_seeds: int. Defaults to `16`.
        num_products: int. k, 8 in the paper. Defaults to `8`.
        num_heads: int. Must divide the width. Defaults to `4`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch]}`. Output shape: `[batch, num_tokens, dim]`.

    Raises:
        ValueError: If an argument is not a positive integer or `num_heads` does not divide the width.

    Example:

    >>> pooled = HierarchicalSeedPooling(num_tokens=2)({
    ...     "sequence": np.ones((3, 50, 16), "float32"), "lengths": np.array([0, 7, 50])
    ... })
    >>> pooled.shape
    TensorShape([3, 2, 16])

    Reference:
        [Kunlun, arXiv 2602.10016](https://arxiv.org/abs/2602.10016)
    """

    def __init__(
        self, num_tokens: int = 4, num_seeds: int = 16, num_products: int = 8, num_heads: int = 4, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.num_tokens = check_positive("num_tokens", num_tokens)
        self.num_seeds = check_positive("num_seeds", num_seeds)
        self.num_products = check_positive("num_products", num_products)
        self.num_heads = check_positive("num_heads", num_heads)

    def build(self, input_shape: Any) -> None:
        batch, _, width = sequence_shape(input_shape["sequence"])
        width, products = width or 0, self.num_products
        seeds = (self.num_seeds, width)
        normal = keras.initializers.RandomNormal
        self.seeds = self.add_weight(name="seeds", shape=seeds, initializer=normal(stddev=1.0))
        self.seed_norm = TokenNorm(dtype=self.dtype_policy, name="seed_norm")
        build_sublayer(self.seed_norm, seeds)
        self.attention = SequenceAttention(self.num_heads, dtype=self.dtype_policy, name="attention")
        build_sublayer(self.attention, {**input_shape, "query": (batch, *seeds)})
        self.token_kernels = self.add_weight(
            name="token_kernels",
            shape=(products, self.num_seeds, self.num_tokens),
            initializer=normal(stddev=self.num_seeds**-0.5),
        )
        self.width_kernels = self.add_weight(
            name="width_kernels",
            shape=(products, width, width),
            initializer=normal(stddev=(products * width) ** -0.5),
        )
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        sequence, lengths = read_history(inputs["sequence"], inputs["lengths"])
        seeds = self.seed_norm(ops.convert_to_tensor(self.seeds))[None]
        query = ops.broadcast_to(seeds, (ops.shape(sequence)[0], *self.seeds.shape))
        answers = self.attention({"sequence": sequence, "lengths": lengths, "query": query})
        mixed = ops.einsum("bsd,ksm->bkmd", answers, ops.cast(self.token_kernels, answers.dtype))
        return ops.einsum("bkmd,kde->bme", mixed, ops.cast(self.width_kernels, answers.dtype))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, _, width = sequence_shape(input_shape["sequence"])
        return batch, self.num_tokens, width

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_tokens": self.num_tokens,
            "num_seeds": self.num_seeds,
            "num_products": self.num_products,
            "num_heads": self.num_heads,
        }
