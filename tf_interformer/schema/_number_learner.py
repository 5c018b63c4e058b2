"""Learns the statistics of a number."""

from typing import Any

import numpy as np

from tf_interformer.arrays.numpy_arrays import NumpyArrays

# Quantiles are cut from so many values at most; their error is then far below one bucket.
_SAMPLE = 1_000_000


class NumberLearner:
    """Count, mean and variance of the transformed values, and a uniform sample of the raw ones, of a `Numeric`."""

    def __init__(self, feature: Any) -> None:
        self.feature = feature
        self.count, self.mean, self.squares = 0, 0.0, 0.0
        self.values, self.keys = np.empty(0, np.float32), np.empty(0)
        self.random = np.random.default_rng(0)
        self.arrays = NumpyArrays({})

    def update(self, values: np.ndarray) -> None:
        values = values[~np.isnan(values)].astype(np.float64)
        if not values.size:
            return
        transformed = self.feature.transformed(values, self.arrays)
        # Chan's update: exact for any batch sizes, without a second pass
        count, mean = values.size, transformed.mean()
        delta, total = mean - self.mean, self.count + count
        self.squares += ((transformed - mean) ** 2).sum() + delta**2 * self.count * count / total
        self.mean += delta * count / total
        self.count = total
        if self.feature.buckets and self.feature.boundaries is None:
            self._sample(values)

    def _sample(self, values: np.ndarray) -> None:
        # The values with the smallest random keys are a uniform sample, however long the log is.
        self.values = np.concatenate([self.values, values.astype(np.float32)])
        self.keys = np.concatenate([self.keys, self.random.random(values.size)])
        if self.values.size > 2 * _SAMPLE:
            keep = np.argpartition(self.keys, _SAMPLE)[:_SAMPLE]
            self.values, self.keys = self.values[keep], self.keys[keep]

    def result(self) -> Any:
        feature = self.feature
        found: dict[str, Any] = {}
        scaled = feature.transform != "none"
        if feature.mean is None:
            found["mean"] = float(self.mean)
        if feature.std is None:
            deviation = float(np.sqrt(self.squares / self.count)) if self.count else 0.0
            found["std"] = deviation if scaled and deviation > 1e-12 else 1.0
        if feature.buckets and feature.boundaries is None:
            quantiles = np.arange(1, feature.buckets) / feature.buckets
            cuts = np.quantile(self.values, quantiles, method="lower") if self.values.size else np.empty(0)
            found["boundaries"] = tuple(float(cut) for cut in np.unique(cuts.astype(np.float32)))
        return feature.replace(**found)
