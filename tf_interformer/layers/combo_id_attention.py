"""Attention scores remembered for pairs of ids."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    check_choice,
    check_positive,
    project,
    shape_of,
    softmax,
    tokens_shape,
    wide,
)
from tf_interformer.layers._lookup import NO_AUTOCAST, take_rows
from tf_interformer.layers._pair_hash import PairHash

GATES = ("softmax", "sigmoid")


@register
class ComboIdAttention(keras.layers.Layer):
    """Combo-ID attention: a score per pair of tokens, looked up by the pair of their ids (arXiv 2503.11233).

    Every pair of ids has an id of its own, `ID(f_i, f_j) = [ID_i, ID_j]` (Eq. 4), and with it a row in each of M
    codebooks, `u^m = C^m[hash_m(i, ID_i, j, ID_j) mod s]`. So a pair is remembered as such, where an inner product
    keeps only what few dimensions of each token can tell.

    The paper names the parts: independent codebooks against collisions of the hash, and a gate between them (Gated
    Siamese Codebook). Their form here is ours: `g = softmax_m(w_m [u^1 || .. || u^M || e_i || e_j])`,
    `u_ij = sum_m g_m u^m`, and per head the score `A_ij = u_ij W_c + b_c`. Pairs are not directed: i < j, and the
    diagonal is the id by itself. Id 0 stands for nothing: its pairs have the embedding and the score 0.

    Args:
        num_heads: int. H. Defaults to `4`.
        num_codebooks: int. M. Defaults to `2`.
        codebook_size: int. s, the rows of each codebook. Defaults to `100000`.
        codebook_dim: int or `None`. Width of a row; `None` for the tokens' width. Defaults to `None`.
        gate: str. `"softmax"`, or `"sigmoid"`: a gate for each dimension of each codebook. Defaults to `"softmax"`.
        fields: list of int or `None`. Tokens whose pairs are looked up; other pairs have the score 0. `None` for all.
            N tokens cost `M N (N + 1) / 2` rows per example, so the key fields alone are far cheaper. Defaults to
            `None`.
        return_pairs: bool. Return the embeddings `u_ij` too. Defaults to `False`.

    Input: `{"tokens": [batch, N, dim], "ids": [batch, N]}`, the ids integers of at least 0.
    Output shape: `[batch, H, N, N]`, scores before any softmax, or `{"pairs": [batch, N, N, codebook_dim],
        "scores": [batch, H, N, N]}`.

    Raises:
        ValueError: If an argument is out of range, or `fields` names a token that is not there.

    Example:

    >>> attention = ComboIdAttention(num_heads=2, codebook_size=1000)
    >>> attention({"tokens": np.ones((3, 5, 16), "float32"), "ids": np.array([[0, 1, 2, 3, 4]] * 3)}).shape
    TensorShape([3, 2, 5, 5])

    Reference:
        [Dual Enhanced Attention, arXiv 2503.11233](https://arxiv.org/abs/2503.11233)
        [MemoNet, arXiv 2211.01334](https://arxiv.org/abs/2211.01334)
    """

    def __init__(
        self,
        num_heads: int = 4,
        num_codebooks: int = 2,
        codebook_size: int = 100_000,
        codebook_dim: int | None = None,
        gate: str = "softmax",
        fields: Sequence[int] | None = None,
        return_pairs: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = check_positive("num_heads", num_heads)
        self.num_codebooks = check_positive("num_codebooks", num_codebooks)
        self.codebook_size = check_positive("codebook_size", codebook_size)
        if num_codebooks * codebook_size >= 2**31:
            raise ValueError(
                "The codebooks may not have 2^31 rows together. "
                f"Received: num_codebooks={num_codebooks}, codebook_size={codebook_size}"
            )
        self.codebook_dim = None if codebook_dim is None else check_positive("codebook_dim", codebook_dim)
        self.gate = check_choice("gate", gate, GATES)
        if fields is not None and (not fields or any(f < 0 for f in fields) or len(set(fields)) != len(fields)):
            raise ValueError(f"`fields` must be a list of different tokens or None. Received: fields={fields!r}")
        self.fields = None if fields is None else tuple(sorted(fields))
        self.return_pairs = return_pairs

    def build(self, input_shape: Any) -> None:
        _, tokens, width = tokens_shape(input_shape["tokens"])
        tokens, width = tokens or 0, width or 0
        fields = np.arange(tokens) if self.fields is None else np.array(self.fields)
        if fields[-1] >= tokens:
            raise ValueError(f"`fields` must be below the number of tokens, {tokens}. Received: fields={self.fields}")
        self._lay_out(fields, tokens)
        dim = width if self.codebook_dim is None else self.codebook_dim
        self.codebooks = self.add_weight(
            name="codebooks",
            shape=(self.num_codebooks * self.codebook_size, dim),
            initializer=keras.initializers.RandomNormal(stddev=0.05),
            trainable=True,
            **NO_AUTOCAST,
        )
        # A softmax over one codebook has nothing to learn.
        self._gated = self.num_codebooks > 1 or self.gate == "sigmoid"
        if self._gated:
            gates = self.num_codebooks if self.gate == "softmax" else self.num_codebooks * dim
            self.gate_kernel = self.add_weight(
                name="gate_kernel", shape=(self.num_codebooks * dim + 2 * width, gates), initializer="lecun_normal"
            )
        self.score_kernel = self.add_weight(
            name="score_kernel", shape=(dim, self.num_heads), initializer="lecun_normal"
        )
        self.score_bias = self.add_weight(name="score_bias", shape=(self.num_heads,), initializer="zeros")
        super().build(input_shape)

    def _lay_out(self, fields: Any, tokens: int) -> None:
        """Arranges the pairs by row i and distance k around the circle of fields: (i, i + k), k up to half a turn."""
        count = len(fields)
        rows, distances = np.meshgrid(np.arange(count), np.arange(count // 2 + 1), indexing="ij")
        others = (rows + distances) % count
        low, high = np.minimum(rows, others).reshape(-1), np.maximum(rows, others).reshape(-1)
        first, second = fields[low], fields[high]
        self._hash = PairHash(first, second, self.num_codebooks, self.codebook_size)
        # Opposite fields of an even circle meet twice.
        once = (2 * distances < count) | (rows < others)
        # The diagonal is added to its own transpose.
        self._share = np.where(distances == 0, 0.5, once.astype("float64"))[None, :, :, None]
        self._first, self._second = first.astype("int32"), second.astype("int32")
        # Products with these in place of gathers, whose gradients XLA runs serially.
        self._select_first, self._select_second = np.eye(tokens)[first], np.eye(tokens)[second]
        self._spread = np.eye(tokens)[:, fields]

    def call(self, inputs: Any) -> Any:
        tokens = inputs["tokens"]
        ids = ops.cast(inputs["ids"], "int32")
        known = ids != 0
        present = ops.logical_and(ops.take(known, self._first, axis=1), ops.take(known, self._second, axis=1))
        # Row 0 for pairs of nothing, so that they do not touch rows that others learn.
        rows = ops.where(ops.expand_dims(present, -1), self._hash(ids), 0)  # [B, pairs, M]
        codes = ops.cast(take_rows(self.codebooks, rows), self.compute_dtype)  # [B, pairs, M, dc]
        codes = self._mix(codes, tokens)
        present = ops.cast(ops.expand_dims(present, -1), codes.dtype)
        scores = (project(codes, self.score_kernel) + ops.cast(self.score_bias, codes.dtype)) * present
        scores = ops.transpose(self._matrix(scores), (0, 3, 1, 2))
        return {"pairs": self._matrix(codes * present), "scores": scores} if self.return_pairs else scores

    def _mix(self, codes: Tensor, tokens: Tensor) -> Tensor:
        """Returns the pairs' embeddings `[B, pairs, dc]`."""
        pairs, books, dim = codes.shape[1:]
        if not self._gated:
            return ops.reshape(codes, (-1, pairs, dim))
        width = tokens.shape[-1]
        kernel = ops.cast(self.gate_kernel, codes.dtype)
        # The tokens' part once per token rather than per pair.
        of_codes, of_first, of_second = kernel[: books * dim], kernel[books * dim : -width], kernel[-width:]
        logits = project(ops.reshape(codes, (-1, pairs, books * dim)), of_codes)
        logits = logits + ops.matmul(ops.cast(self._select_first, codes.dtype), project(tokens, of_first))
        logits = logits + ops.matmul(ops.cast(self._select_second, codes.dtype), project(tokens, of_second))
        if self.gate == "softmax":
            gates = ops.expand_dims(ops.cast(softmax(wide(logits)), codes.dtype), -1)
        else:
            gates = ops.reshape(ops.sigmoid(logits), (-1, pairs, books, dim))
        return ops.sum(gates * codes, axis=2)

    def _matrix(self, pairs: Tensor) -> Tensor:
        """Returns the symmetric matrix `[B, N, N, F]` of values `[B, pairs, F]`."""
        total, size = self._spread.shape
        last = pairs.shape[-1]
        pairs = ops.reshape(pairs, (-1, size, size // 2 + 1, last)) * ops.cast(self._share, pairs.dtype)
        # Rows one longer than they are read shift row i by i: (i, k) comes to lie at column i + k.
        wider = ops.pad(pairs, ((0, 0), (0, 0), (0, 2 * size - size // 2), (0, 0)))
        flat = ops.reshape(wider, (-1, size * (2 * size + 1), last))[:, : 2 * size * size]
        turned = ops.reshape(flat, (-1, size, 2 * size, last))
        half = turned[:, :, :size] + turned[:, :, size:]
        matrix = half + ops.transpose(half, (0, 2, 1, 3))
        if self.fields is None:
            return matrix
        spread = ops.cast(self._spread, pairs.dtype)
        matrix = ops.matmul(spread, ops.reshape(matrix, (-1, size, size * last)))
        return ops.matmul(spread, ops.reshape(matrix, (-1, total, size, last)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, tokens, width = tokens_shape(input_shape["tokens"])
        scores: Shape = (batch, self.num_heads, tokens, tokens)
        if not self.return_pairs:
            return scores
        return {"pairs": shape_of((batch, tokens, tokens, self.codebook_dim or width)), "scores": scores}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "num_codebooks": self.num_codebooks,
            "codebook_size": self.codebook_size,
            "codebook_dim": self.codebook_dim,
            "gate": self.gate,
            "fields": None if self.fields is None else list(self.fields),
            "return_pairs": self.return_pairs,
        }
