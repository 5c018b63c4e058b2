"""A schema's raw columns in TensorFlow Datasets; imported only where a schema is asked for them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from tf_interformer.schema.raw_column import RawColumn


def features(columns: Iterable[RawColumn], **extra: Any) -> Any:
    """The feature dict of some columns: see `FeatureSchema.tfds_features`."""
    made = {column.name: _feature(column) for column in columns if column.kind != "length"}
    return tfds.features.FeaturesDict({**made, **extra})


def _feature(column: RawColumn) -> Any:
    dtype = column.stored_dtype
    if column.kind == "vector":
        return tfds.features.Tensor(shape=(column.width,), dtype=np.dtype(dtype))
    scalar = tfds.features.Text() if dtype == "string" else tfds.features.Scalar(np.dtype(dtype))
    return tfds.features.Sequence(scalar) if column.has_lists else scalar
