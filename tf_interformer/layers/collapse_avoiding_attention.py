"""Attention that filters pairs of collapsed fields."""

from typing import Any

import numpy as np

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    check_choice,
    check_factor,
    check_positive,
    check_rate,
    shape_of,
    tokens_shape,
    wide,
)
from tf_interformer.layers._statistic import add_statistic
from tf_interformer.layers.multi_head_attention import MASKED

FILTERS = ("soft", "hard", None)
THRESHOLDS = ("abundance", "score")
PAIR_ABUNDANCES = ("min", "product")


@register
class CollapseAvoidingAttention(keras.layers.Layer):
    """Collapse-avoiding attention: scores without the pairs of poor fields, `A_ij + log M_ij` (arXiv 2503.11233).

    The information abundance of a field, the sum of the singular values of its matrix divided by the largest
    (arXiv 2310.04400), is 1 where it has collapsed to one direction. A token that attends to such a field is drawn
    into its few dimensions too. The paper filters pairs of low abundance by a dynamic threshold; how it computes
    either is not known to us, so the rest is ours.

    The matrix of a field is its tokens in the training batch `[B, D]`. Every `refresh_every` training steps the
    abundance is computed anew, divided by `min(B, D)`, and averaged with what was known (`momentum`); other steps, and
    inference, use the value that is kept. Before the first refresh every field has the highest.

    The abundance of a pair is `p_ij = min(a_i, a_j)`, the threshold per head `tau = mean(p) - lambda std(p)` with a
    learnable `lambda > 0`, and the mask `M_ij = sigmoid((p_ij - tau) / temperature)`, divided by its largest value, so
    that equal fields are not filtered at all. Poor pairs stand out from the mean only while they are fewer than
    `1 / (1 + lambda^2)` of all. With `threshold_on="score"` a score is compared with its row instead:
    `A_ij > tau_i`, `tau_i = mean_j(A_ij) + lambda std_j(A_ij)`. The diagonal is always kept.

    Args:
        filter: str or `None`. `"soft"`; `"hard"`: a pair below the threshold has weight 0 and `lambda` stays as it is
            (a step has no gradient); `None`: nothing is filtered. Defaults to `"soft"`.
        threshold_on: str. `"abundance"` or `"score"`. Defaults to `"abundance"`.
        pair_abundance: str. `"min"` or `"product"`. Defaults to `"min"`.
        threshold_strength: float. The initial `lambda`. Defaults to `0.5`.
        temperature: float. Of the soft mask: in units of the abundance, which lies in (0, 1], or of the scores.
            Defaults to `0.05`.
        refresh_every: int. Training steps from one refresh to the next. Defaults to `100`.
        momentum: float. Weight of the old abundance at a refresh. Defaults to `0.5`.

    Input: `{"scores": [batch, heads, N, N], "tokens": [batch, N, dim]}`.
    Output shape: `[batch, heads, N, N]`, for a softmax.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> attention = CollapseAvoidingAttention()
    >>> attention({"scores": np.ones((3, 2, 5, 5), "float32"), "tokens": np.ones((3, 5, 16), "float32")}).shape
    TensorShape([3, 2, 5, 5])

    Reference:
        [Dual Enhanced Attention, arXiv 2503.11233](https://arxiv.org/abs/2503.11233)
        [On the Embedding Collapse, arXiv 2310.04400](https://arxiv.org/abs/2310.04400)
    """

    def __init__(
        self,
        filter: str | None = "soft",
        threshold_on: str = "abundance",
        pair_abundance: str = "min",
        threshold_strength: float = 0.5,
        temperature: float = 0.05,
        refresh_every: int = 100,
        momentum: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filter = check_choice("filter", filter, FILTERS)
        self.threshold_on = check_choice("threshold_on", threshold_on, THRESHOLDS)
        self.pair_abundance = check_choice("pair_abundance", pair_abundance, PAIR_ABUNDANCES)
        self.threshold_strength = check_factor("threshold_strength", threshold_strength)
        self.temperature = check_factor("temperature", temperature)
        self.refresh_every = check_positive("refresh_every", refresh_every)
        self.momentum = check_rate("momentum", momentum)

    def build(self, input_shape: Any) -> None:
        heads = shape_of(input_shape["scores"])[1]
        tokens = tokens_shape(input_shape["tokens"])[1] or 0
        self._off_diagonal = 1.0 - np.eye(tokens)
        self._active = self.filter is not None and tokens > 1
        if self._active and self.filter == "soft":
            start = float(np.log(np.expm1(self.threshold_strength)))
            self.raw_strength = self.add_weight(
                name="raw_strength", shape=(heads,), initializer=keras.initializers.Constant(start), trainable=True
            )
        if self._active and self.threshold_on == "abundance":
            self.abundance = add_statistic(self, "abundance", (tokens,), "ones")
            # A float: on a GPU an integer variable would live on the host, out of XLA's reach.
            self.steps = add_statistic(self, "steps", (), "zeros")
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        scores = wide(inputs["scores"])
        if not self._active:
            return ops.cast(scores, self.compute_dtype)
        off = ops.cast(self._off_diagonal, scores.dtype)
        if self.threshold_on == "abundance":
            abundance = ops.cast(self._abundance(inputs["tokens"], training), scores.dtype)
            one, other = ops.expand_dims(abundance, 1), ops.expand_dims(abundance, 0)
            values = ops.minimum(one, other) if self.pair_abundance == "min" else one * other  # [N, N]
            mean, deviation = _moments(values, off, (0, 1))
            values = ops.expand_dims(values, 0)
            threshold = mean - self._strength(scores.dtype) * deviation  # [H, 1, 1]
        else:
            values = scores
            mean, deviation = _moments(values, off, (3,))
            threshold = mean + self._strength(scores.dtype) * deviation  # [B, H, N, 1]
        return ops.cast(scores + self._log_mask(values, threshold, off), self.compute_dtype)

    def _strength(self, dtype: Any) -> Any:
        if self.filter == "hard":
            return self.threshold_strength
        return ops.reshape(ops.softplus(ops.cast(self.raw_strength, dtype)), (-1, 1, 1))

    def _log_mask(self, values: Tensor, threshold: Tensor, off: Tensor) -> Tensor:
        if self.filter == "hard":
            # Rounding must not filter pairs that are all alike.
            return ops.where((values < threshold - 1e-6) & (off > 0), ops.cast(MASKED, off.dtype), 0.0)
        log_mask = ops.log_sigmoid((values - threshold) / self.temperature)
        axes = (-1,) if self.threshold_on == "score" else (-2, -1)
        top = ops.max(ops.where(off > 0, log_mask, MASKED), axis=axes, keepdims=True)
        return (log_mask - top) * off

    def _abundance(self, tokens: Tensor, training: bool | None) -> Tensor:
        known = ops.convert_to_tensor(self.abundance)
        if not training:
            return known
        steps = self.steps + 1.0
        due = steps >= self.refresh_every

        def refresh() -> Tensor:
            new = ops.cast(batch_abundance(wide(tokens)), known.dtype)
            return self.momentum * known + (1.0 - self.momentum) * new

        # No gradient of the branches is made: XLA could not compile what it keeps.
        known = ops.stop_gradient(ops.cond(due, refresh, lambda: known))
        # Outside of the branches, where a distribution strategy allows it.
        self.abundance.assign(known)
        self.steps.assign(ops.where(due, 0.0, steps))
        return known

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return shape_of(input_shape["scores"])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filter": self.filter,
            "threshold_on": self.threshold_on,
            "pair_abundance": self.pair_abundance,
            "threshold_strength": self.threshold_strength,
            "temperature": self.temperature,
            "refresh_every": self.refresh_every,
            "momentum": self.momentum,
        }


def batch_abundance(tokens: Tensor) -> Tensor:
    """Returns the information abundance `[N]` of tokens `[B, N, D]`, divided by its bound `min(B, D)`."""
    batch, _, width = ops.shape(tokens)
    matrices = ops.transpose(tokens, (1, 0, 2))  # [N, B, D]
    gram = ops.matmul(ops.transpose(matrices, (0, 2, 1)), matrices)
    # A run that diverges shall show so in its loss, not fail here.
    values = ops.eigh(ops.nan_to_num(gram))[0]
    singular = ops.sqrt(ops.maximum(values, 0.0))
    abundance = ops.sum(singular, axis=-1) / ops.maximum(ops.max(singular, axis=-1), 1e-30)
    return ops.maximum(abundance, 1.0) / ops.cast(ops.minimum(batch, width), abundance.dtype)


def _moments(values: Tensor, off: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the pairs of different tokens."""
    count = ops.sum(off, axis=axes if len(axes) == 2 else -1, keepdims=True)
    mean = ops.sum(values * off, axis=axes, keepdims=True) / count
    variance = ops.sum(ops.square(values - mean) * off, axis=axes, keepdims=True) / count
    return mean, ops.sqrt(variance + 1e-12)
