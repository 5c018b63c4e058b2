"""HCNet of MemoNet: what pairs of ids are remembered by."""

from typing import Any

import numpy as np

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_choice,
    check_positive,
    project,
    stack_tokens,
    tokens_shape,
)
from tf_interformer.layers._lookup import NO_AUTOCAST, take_rows
from tf_interformer.layers._pair_hash import PairHash
from tf_interformer.layers._pairs import of_pairs
from tf_interformer.layers.dual_enhanced_attention import attention_shape
from tf_interformer.layers.mlp import MLP

RESTORING = ("linear", "attentive")


@register
class HCNetInteraction(keras.layers.Layer):
    """Hash codebook network of MemoNet: a memory token per field, of the pairs of ids that it takes part in.

    K hash functions name K rows `c^k` of a codebook for each pair of ids i < j. The pair's vector is restored from
    them by `x_ij = [c^1 || .. || c^K] W` (`"linear"`, the paper's LMR) or, after a product with weights
    `relu([v_i || v_j] W_1) W_2`, by the same (`"attentive"`, AMR). Then `m_i = sum_j a_ij x_ij` over all other tokens
    j, with `a = relu([v_1 || .. || v_N] W_3) W_4`, a number per pair without a softmax (global attentive shrinking).

    Printed: these equations. Ours: the hash, `W` maps to the width of the tokens whatever that of the codebook, no
    biases, and id 0, which stands for nothing: its pairs are left out.

    Args:
        num_hashes: int. K. Defaults to `2`.
        codebook_size: int. Rows of each codebook; the authors' code has a million. Defaults to `100000`.
        codebook_dim: int or `None`. Width of a row; `None` for the tokens' width. Defaults to `None`.
        share_codebook: bool. One codebook for all hash functions, or one for each. Defaults to `True`.
        restoring: str. `"linear"` or `"attentive"`. Defaults to `"linear"`.
        hidden_dim: int. Width of the hidden layers between `W_1`, `W_2` and between `W_3`, `W_4`. Defaults to `64`.

    Input: `{"tokens": [batch, N, dim], "ids": [batch, N]}` with at least two tokens, the ids integers of at least 0.
    Output shape: `[batch, N, dim]`.

    Raises:
        ValueError: If an argument is out of range, there are no ids, or fewer than two tokens.

    Example:

    >>> memory = HCNetInteraction(codebook_size=1000)
    >>> memory({"tokens": np.ones((3, 5, 16), "float32"), "ids": np.array([[0, 1, 2, 3, 4]] * 3)}).shape
    TensorShape([3, 5, 16])

    Reference:
        [MemoNet, arXiv 2211.01334](https://arxiv.org/abs/2211.01334)
    """

    needs_ids = True

    def __init__(
        self,
        num_hashes: int = 2,
        codebook_size: int = 100_000,
        codebook_dim: int | None = None,
        share_codebook: bool = True,
        restoring: str = "linear",
        hidden_dim: int = 64,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_hashes = check_positive("num_hashes", num_hashes)
        self.codebook_size = check_positive("codebook_size", codebook_size)
        if num_hashes * codebook_size >= 2**31:
            raise ValueError(
                "The codebooks may not have 2^31 rows together. "
                f"Received: num_hashes={num_hashes}, codebook_size={codebook_size}"
            )
        self.codebook_dim = None if codebook_dim is None else check_positive("codebook_dim", codebook_dim)
        self.share_codebook = share_codebook
        self.restoring = check_choice("restoring", restoring, RESTORING)
        self.hidden_dim = check_positive("hidden_dim", hidden_dim)

    def build(self, input_shape: Any) -> None:
        batch, tokens, width = tokens_shape(attention_shape(input_shape))
        tokens, width = tokens or 0, width or 0
        if tokens < 2:
            raise ValueError(f"Pairs need at least two tokens. Received: {tokens}")
        first, second = np.triu_indices(tokens, 1)
        self._hash = PairHash(first, second, self.num_hashes, self.codebook_size)
        self._first, self._second = first.astype("int32"), second.astype("int32")
        # Sums over the pairs of a token as a product, where the gradient of a gather would be slow.
        self._of_token = (np.eye(tokens)[first] + np.eye(tokens)[second]).T
        dim = self.codebook_dim or width
        self.codebook = self.add_weight(
            name="codebook",
            shape=((1 if self.share_codebook else self.num_hashes) * self.codebook_size, dim),
            initializer=keras.initializers.RandomNormal(stddev=0.01),
            trainable=True,
            **NO_AUTOCAST,
        )
        self.restore_kernel = self.add_weight(
            name="restore_kernel", shape=(self.num_hashes * dim, width), initializer="lecun_normal"
        )
        if self.restoring == "attentive":
            self.mask_kernel = self.add_weight(
                name="mask_kernel", shape=(2 * width, self.hidden_dim), initializer="lecun_normal"
            )
            self.mask_output_kernel = self.add_weight(
                name="mask_output_kernel", shape=(self.hidden_dim, self.num_hashes * dim), initializer="lecun_normal"
            )
        self.shrinking = MLP(
            (self.hidden_dim, len(first)), "relu", use_bias=False, dtype=self.dtype_policy, name="shrinking"
        )
        build_sublayer(self.shrinking, (batch, tokens * width))
        super().build(input_shape)

    def call(self, inputs: Any) -> Tensor:
        if not isinstance(inputs, dict) or "ids" not in inputs:
            raise ValueError(
                'HCNet remembers pairs of ids: pass {"tokens": [batch, N, dim], "ids": [batch, N]}. '
                "Received: tokens without ids"
            )
        tokens, ids = stack_tokens(inputs["tokens"]), ops.cast(inputs["ids"], "int32")
        count, width = tokens.shape[1:]
        known = ids != 0
        present = ops.logical_and(ops.take(known, self._first, axis=1), ops.take(known, self._second, axis=1))
        rows = self._hash(ids)
        if self.share_codebook:
            rows = rows % self.codebook_size
        # Row 0 for pairs of nothing, so that they do not touch rows that others learn.
        rows = ops.where(ops.expand_dims(present, -1), rows, 0)  # [B, pairs, K]
        codes = ops.cast(take_rows(self.codebook, rows), self.compute_dtype)
        codes = ops.reshape(codes, (-1, len(self._first), self.restore_kernel.shape[0]))
        if self.restoring == "attentive":
            kernel = ops.cast(self.mask_kernel, tokens.dtype)
            # Once per token rather than per pair.
            left, right = project(tokens, kernel[:width]), project(tokens, kernel[width:])
            codes = codes * project(ops.relu(of_pairs(ops.add, left, right)), self.mask_output_kernel)
        weights = self.shrinking(ops.reshape(tokens, (-1, count * width))) * ops.cast(present, codes.dtype)
        pairs = project(codes, self.restore_kernel) * ops.expand_dims(weights, -1)
        return ops.matmul(ops.cast(self._of_token, pairs.dtype), pairs)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return tokens_shape(attention_shape(input_shape))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_hashes": self.num_hashes,
            "codebook_size": self.codebook_size,
            "codebook_dim": self.codebook_dim,
            "share_codebook": self.share_codebook,
            "restoring": self.restoring,
            "hidden_dim": self.hidden_dim,
        }
