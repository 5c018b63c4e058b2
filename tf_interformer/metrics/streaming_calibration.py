"""Predicted over observed clicks as a Keras metric."""

from __future__ import annotations

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.metrics._streaming import flatten, sum_dtype


@register
class Calibration(keras.metrics.Metric):
    """Streams predicted clicks over observed clicks.

        calibration = sum_i p_i / sum_i y_i

    The state is two sums, so batches of any size and any number of replicas give the value of
    `tf_interformer.metrics.calibration_ratio` over all examples.

    Args:
        from_logits: bool. Whether predictions are logits, not probabilities. Defaults to `True`.
        name: str. Name of the metric. Defaults to `"calibration"`.
        dtype: str, or None. Type of the result; the sums are wider. Defaults to `None`, Keras's float type.

    Call arguments:
        y_true: tensor of 0 and 1, shape `[B]` or `[B, 1]`.
        y_pred: tensor, shape `[B]` or `[B, 1]`.
        sample_weight: tensor, shape `[B]` or `[B, 1]`, or None.

    Output:
        A scalar, 1 at best; NaN as long as no click was seen.

    Raises:
        ValueError: If the shapes differ.

    Example:

    >>> metric = Calibration(from_logits=False)
    >>> _ = metric.update_state([1, 0], [0.5, 0.25])
    >>> _ = metric.update_state([0, 0], [0.25, 0.25])
    >>> float(metric.result())
    1.25

    Reference:
        - [He et al., 2014: Practical Lessons from Predicting Clicks on Ads at
          Facebook](https://doi.org/10.1145/2648584.2648589)
    """

    def __init__(self, from_logits: bool = True, name: str = "calibration", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.from_logits = from_logits
        self.predicted_sum = self._sum("predicted_sum")
        self.observed_sum = self._sum("observed_sum")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        labels, predictions, weights = flatten(y_true, y_pred, sample_weight)
        probabilities = ops.sigmoid(predictions) if self.from_logits else predictions
        self.predicted_sum.assign_add(ops.sum(weights * probabilities))
        self.observed_sum.assign_add(ops.sum(weights * labels))

    def result(self) -> Any:
        observed = ops.convert_to_tensor(self.observed_sum)
        ratio = ops.convert_to_tensor(self.predicted_sum) / observed
        return ops.cast(ops.where(observed > 0, ratio, float("nan")), self.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "from_logits": self.from_logits}

    def _sum(self, name: str) -> Any:
        return self.add_weight(name=name, shape=(), initializer="zeros", dtype=sum_dtype())
