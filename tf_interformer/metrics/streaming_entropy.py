"""Normalized entropy as a Keras metric."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_interformer._keras import keras, ops, register
from tf_interformer.metrics._checks import check_base_rate
from tf_interformer.metrics._streaming import flatten, sum_dtype


@register
class NormalizedEntropy(keras.metrics.Metric):
    """Streams the normalized entropy (NE): log loss relative to always predicting the average click rate.

        NE = LogLoss / -( c ln c + (1 - c) ln(1 - c) )

    (He et al.; InterFormer reports it for its industrial data.) The state is three sums, so batches of any
    size and any number of replicas give the value of `tf_interformer.metrics.normalized_entropy` over all
    examples.

    Args:
        base_rate: float in (0, 1), or None. `c`, the click rate of the training data. None takes the mean of
            the labels seen since the last reset. Defaults to `None`.
        from_logits: bool. Whether predictions are logits, not probabilities. Defaults to `True`.
        name: str. Name of the metric. Defaults to `"ne"`.
        dtype: str, or None. Type of the result; the sums are wider. Defaults to `None`, Keras's float type.

    Call arguments:
        y_true: tensor of 0 and 1, shape `[B]` or `[B, 1]`.
        y_pred: tensor, shape `[B]` or `[B, 1]`.
        sample_weight: tensor, shape `[B]` or `[B, 1]`, or None.

    Output:
        A scalar; NaN before the first update, and with `base_rate=None` as long as only one class was seen.

    Raises:
        ValueError: If `base_rate` lies outside (0, 1), or the shapes differ.

    Example:

    >>> metric = NormalizedEntropy(base_rate=0.3, from_logits=False)
    >>> _ = metric.update_state([1, 0], [0.7, 0.2])
    >>> _ = metric.update_state([0, 0], [0.1, 0.2])
    >>> print(f"{float(metric.result()):.4f}")
    0.3717

    Reference:
        - [He et al., 2014: Practical Lessons from Predicting Clicks on Ads at
          Facebook](https://doi.org/10.1145/2648584.2648589)
        - [Zeng et al., 2024: InterFormer](https://arxiv.org/abs/2411.09852)
    """

    def __init__(
        self,
        base_rate: float | None = None,
        from_logits: bool = True,
        name: str = "ne",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        check_base_rate(base_rate)
        self.base_rate = base_rate
        self.from_logits = from_logits
        self.loss_sum = self._sum("loss_sum")
        self.click_sum = self._sum("click_sum")
        self.weight_sum = self._sum("weight_sum")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        labels, predictions, weights = flatten(y_true, y_pred, sample_weight)
        if self.from_logits:
            losses = ops.softplus(predictions) - labels * predictions
        else:
            epsilon = float(np.finfo(np.float32).eps)
            clipped = ops.clip(predictions, epsilon, 1.0 - epsilon)
            losses = -(labels * ops.log(clipped) + (1.0 - labels) * ops.log1p(-clipped))
        self.loss_sum.assign_add(ops.sum(weights * losses))
        self.click_sum.assign_add(ops.sum(weights * labels))
        self.weight_sum.assign_add(ops.sum(weights))

    def result(self) -> Any:
        total = ops.convert_to_tensor(self.weight_sum)
        rate = ops.convert_to_tensor(self.click_sum) / total if self.base_rate is None else self.base_rate
        rate = ops.cast(rate, sum_dtype())
        # At a rate of exactly 0 or 1, 0 * log(0) makes the NaN that the contract asks for.
        entropy = -(rate * ops.log(rate) + (1.0 - rate) * ops.log1p(-rate))
        return ops.cast(ops.convert_to_tensor(self.loss_sum) / total / entropy, self.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "base_rate": self.base_rate, "from_logits": self.from_logits}

    def _sum(self, name: str) -> Any:
        return self.add_weight(name=name, shape=(), initializer="zeros", dtype=sum_dtype())
