"""Down-sampling of negatives in an input pipeline."""

from __future__ import annotations

from tf_interformer._tensorflow import tf
from tf_interformer.schema import FeatureSchema, SchemaError


def downsample_negatives(dataset: tf.data.Dataset, schema: FeatureSchema, seed: int = 0) -> tf.data.Dataset:
    """Keep every positive, and of the negatives the share that the label's `negative_rate` says, at random.

    For the training split alone, before `schema.learn`, and before shuffling and batching: the same order and seed
    keep the same examples. `Ranker.score`, evaluation and exported models then correct for it.

    Args:
        dataset: `tf.data.Dataset` of raw examples, dicts by column, not batched.
        schema: `FeatureSchema`, whose label has a `negative_rate` below 1. It need not be learned.
        seed: int. Defaults to 0.

    Returns:
        `tf.data.Dataset` of the examples kept, in their order. Nobody knows its length before it is read, of which
        Keras 3 warns once in `fit`; `tf.data.experimental.assert_cardinality` can say it.

    Raises:
        SchemaError: The schema's label has no such `negative_rate`, or the dataset is batched or lacks the label.

    Example:

    >>> from tf_interformer.schema import Categorical, FeatureSchema, Label
    >>> schema = FeatureSchema(features=[Categorical("a")], labels=[Label("click", negative_rate=0.2)])
    >>> log = tf.data.Dataset.from_tensor_slices({"a": ["x"] * 1000, "click": [1] + [0] * 999})
    >>> 150 < sum(1 for _ in downsample_negatives(log, schema)) < 250
    True
    """
    label = schema.labels[0]
    if label.negative_rate == 1:
        raise SchemaError(f"Label {label.name!r} keeps all negatives: set its `negative_rate`. Received: 1.0")
    spec = dataset.element_spec
    if not isinstance(spec, dict) or label.name not in spec or spec[label.name].shape.rank != 0:
        raise SchemaError(
            f"the dataset must hold raw examples, not batched, with the label {label.name!r}. Received: {spec}"[:400]
        )

    def keeps(index: tf.Tensor, example: dict[str, tf.Tensor]) -> tf.Tensor:
        draw = tf.random.stateless_uniform([], tf.stack([tf.constant(seed, tf.int64), index]))
        return tf.logical_or(tf.cast(example[label.name], tf.float32) > 0, draw < label.negative_rate)

    return dataset.enumerate().filter(keeps).map(lambda _, example: example, num_parallel_calls=tf.data.AUTOTUNE)
