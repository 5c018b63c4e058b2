"""Products of pairs of tokens with a matrix between them."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, check_choice, project, stack_tokens, tokens_shape
from tf_interformer.layers._pairs import of_pairs, pair_count

MATRICES = ("all", "each", "interaction")


@register
class BilinearPairs(keras.layers.Layer):
    """Bilinear interaction of FiBiNET (section 3.3): `p_ij = (v_i W) * v_j` for all tokens i < j.

    The sum of `p_ij` over the embedding axis is `v_i W v_j`, with a matrix for each pair that is FmFM's product.

    Args:
        matrices: str. What has a matrix of its own: `"all"` pairs share one, one for `"each"` first token i, or one
            for each `"interaction"` of i and j. Defaults to `"interaction"`.

    Input shape: `[batch, tokens, dim]` with at least two tokens, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, tokens * (tokens - 1) / 2, dim]`, the pairs in the order `(0, 1), (0, 2), .., (1, 2), ..`.

    Raises:
        ValueError: If `matrices` is unknown or there are fewer than two tokens.

    Example:

    >>> BilinearPairs("each")(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 190, 16])

    Reference:
        [FiBiNET, arXiv 1905.09433](https://arxiv.org/abs/1905.09433)
        [FmFM, arXiv 2102.12994](https://arxiv.org/abs/2102.12994)
    """

    def __init__(self, matrices: str = "interaction", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.matrices = check_choice("matrices", matrices, MATRICES)

    def build(self, input_shape: Any) -> None:
        _, tokens, width = tokens_shape(input_shape)
        tokens = tokens or 0
        if tokens < 2:
            raise ValueError(f"Pairs need at least two tokens. Received: {tokens}")
        count = {"all": 1, "each": tokens - 1, "interaction": pair_count(tokens)}[self.matrices]
        # The matrices lie side by side: those of one token i and all j are then one product.
        self.kernel = self.add_weight(name="kernel", shape=(width, count * (width or 0)), initializer="lecun_normal")
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        x = stack_tokens(inputs)
        tokens, width = x.shape[1:]
        if self.matrices == "all":
            return of_pairs(ops.multiply, project(x, self.kernel), x)
        rows, start = [], 0
        for i in range(tokens - 1):
            others = x[:, i + 1 :]
            size = width if self.matrices == "each" else width * (tokens - 1 - i)
            kernel = self.kernel[:, start : start + size]
            start += size
            mapped = ops.matmul(x[:, i], ops.cast(kernel, x.dtype))
            rows.append(ops.reshape(mapped, (-1, size // width, width)) * others)
        return ops.concatenate(rows, axis=1) if len(rows) > 1 else rows[0]

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, tokens, width = tokens_shape(input_shape)
        return batch, pair_count(tokens or 0), width

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "matrices": self.matrices}
