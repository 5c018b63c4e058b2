"""A feature that is a number."""

import math
from typing import Literal

from pydantic import Field, model_validator

from tf_interformer.arrays import Array, Arrays
from tf_interformer.schema._name import Name
from tf_interformer.schema._number_learner import NumberLearner
from tf_interformer.schema.encoded_column import BUCKET, EncodedColumn
from tf_interformer.schema.feature_kind import FeatureKind
from tf_interformer.schema.raw_column import RawColumn


class Numeric(FeatureKind):
    """A numeric feature, or number of an event; NaN means missing and becomes the training mean.

    Args:
        name: str. Name of the column, or of the field of a sequence.
        transform: `"standardize"`: `(x - mean) / std`; `"log"`: the same of `sign(x) * log(1 + |x|)`;
            `"none"`: as it is. Mean and deviation are the training split's. Defaults to `"standardize"`.
        buckets: int. Beside the number, embed the quantile bucket it falls in, cut so that the training
            split fills so many buckets evenly. Numbers of events have none. Defaults to 0: no embedding.
        mean: float or None. Mean of the transformed values. Learned when `None`.
        std: float or None. Standard deviation of the transformed values. Learned when `None`.
        boundaries: tuple or None. Inner boundaries of the buckets, increasing. Learned when `None`.
        serve_as: float or None. The raw value that takes the column's place in `Ranker.score` and in an exported
            model, as in `Categorical`. Defaults to `None`.

    Raises:
        SchemaError: An argument is out of range, or boundaries do not increase.

    Example:

    >>> Numeric("price", transform="log", buckets=8).buckets
    8
    """

    kind: Literal["numeric"] = "numeric"
    name: Name
    transform: Literal["standardize", "log", "none"] = "standardize"
    buckets: int = Field(default=0, ge=0)
    mean: float | None = None
    std: float | None = Field(default=None, gt=0)
    boundaries: tuple[float, ...] | None = None
    serve_as: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Numeric":
        if self.buckets == 1:
            raise ValueError("`buckets` must be 0 (none) or at least 2. Received: 1")
        if self.boundaries is not None:
            if not self.buckets:
                raise ValueError("`boundaries` need `buckets` to be set")
            pairs = zip(self.boundaries, self.boundaries[1:], strict=False)
            if any(low >= high for low, high in pairs):
                raise ValueError(f"`boundaries` must increase. Received: {self.boundaries}")
        return self

    @property
    def dtype(self) -> Literal["float32"]:
        """Type of the raw values."""
        return "float32"

    @property
    def missing(self) -> float:
        """The raw value that stands for "nothing there": NaN."""
        return math.nan

    @property
    def is_learned(self) -> bool:
        """Whether mean, deviation and boundaries are known."""
        cut = self.boundaries is not None or not self.buckets
        return self.mean is not None and self.std is not None and cut

    @property
    def fault_as_field(self) -> str | None:
        """Why it may not be a field of a sequence; `None` where it may."""
        if self.buckets:
            return f"field {self.name!r} may have no `buckets`: only a feature may"
        return super().fault_as_field

    @property
    def num_ids(self) -> int:
        """Number of bucket ids, the two reserved ones included; the boundaries must be known."""
        if self.boundaries is None:
            raise ValueError(f"Numeric {self.name!r} has no boundaries yet: call FeatureSchema.learn first")
        return 3 + len(self.boundaries)

    def raw_column(self, column: str) -> RawColumn:
        """One number in each row."""
        return RawColumn(column, "value", self.dtype, self.missing, serve_as=self.serve_as)

    def encoded_columns(self, column: str) -> tuple[EncodedColumn, ...]:
        """The number, and the id of its bucket where there are any."""
        number = EncodedColumn(column, "dense", "float32")
        if not self.buckets:
            return (number,)
        bucket = _bucket(column)
        count = None if self.boundaries is None else self.num_ids
        return number, EncodedColumn(bucket, "token", table=bucket, num_ids=count, rank=BUCKET)

    def encode(self, column: str, values: Array, arrays: Arrays) -> dict[str, Array]:
        """The transformed numbers, NaN as the mean; the bucket of NaN is 0, else 2 plus the boundaries reached."""
        assert self.mean is not None and self.std is not None
        missing = arrays.is_nan(values)
        scaled = arrays.where(missing, self.mean, self.transformed(values, arrays))
        if self.transform != "none":
            scaled = (scaled - self.mean) / self.std
        encoded = {column: arrays.fitting(f"column {column} by {self.transform}", scaled)}
        if self.boundaries is not None:
            encoded[_bucket(column)] = arrays.where(missing, 0, 2 + arrays.bucketize(values, self.boundaries))
        return encoded

    def transformed(self, values: Array, arrays: Arrays) -> Array:
        """The values before mean and deviation: the logarithm of counts also takes zero and negative values."""
        return arrays.sign(values) * arrays.log1p(arrays.abs(values)) if self.transform == "log" else values

    def learner(self) -> NumberLearner:
        """Learns mean, deviation and boundaries."""
        return NumberLearner(self)


def _bucket(column: str) -> str:
    return f"{column}_bucket"
