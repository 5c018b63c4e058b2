"""The work that every benchmark of speed does: one schema, made batches, an InterFormer of a common size.

16 categorical fields, a target item and its category, two sequences of 50 events with an item and a category each,
everything 16 numbers wide. Ids are log-uniform: few come often, most come rarely, as in a click log.
"""

from typing import Any

import numpy as np

from tf_interformer import Categorical, FeatureSchema, Label, Ranker, Sequence
from tf_interformer._tensorflow import tf

FIELDS = 16
EVENTS = 50
SEQUENCES = ("clicked", "bought")
WIDTH = 16
LAYERS = 3
BATCH_SIZE = 1024

Arrays = dict[str, np.ndarray]
Batch = tuple[dict[str, Any], dict[str, Any]]  # of tensors


def schema(rows: int = 100_000, fields: int = FIELDS, events: int = EVENTS) -> FeatureSchema:
    """Returns a learned schema whose tables have `rows` rows together, half of them those of the items.

    Args:
        rows: int. Defaults to `100_000`.
        fields: int. Categorical features beside item and category. Defaults to `16`.
        events: int. Length of both sequences. Defaults to `50`.
    """
    category = max(10, rows // 100)
    field = (rows // 2 - category) // fields - 2
    if field < 1:
        raise ValueError(f"`rows` must be at least {8 * (fields + 10)}. Received: rows={rows}")
    item = rows - (category + 2) - fields * (field + 2) - 2
    sizes = {"item": item, "category": category, **{f"field_{i}": field for i in range(fields)}}
    events_of = tuple(Categorical(name=name, dtype="int64", table=name) for name in ("item", "category"))
    return FeatureSchema(
        name="standard_work",
        features=tuple(Categorical(name=name, dtype="int64", hash_buckets=size) for name, size in sizes.items()),
        sequences=tuple(Sequence(name=name, fields=events_of, max_length=events) for name in SEQUENCES),
        labels=(Label(name="click", mean=0.2),),
    )


def batches(of: FeatureSchema, count: int = 4, size: int = BATCH_SIZE, seed: int = 0) -> list[Batch]:
    """Returns encoded batches with their labels, all histories full, as tensors of TensorFlow."""

    def tensors(made: Arrays) -> dict[str, Any]:
        return {name: tf.constant(array) for name, array in made.items()}

    return [(tensors(columns), tensors(labels)) for columns, labels in arrays(of, count, size, seed)]


def arrays(of: FeatureSchema, count: int = 4, size: int = BATCH_SIZE, seed: int = 0) -> list[tuple[Arrays, Arrays]]:
    """Returns the same as NumPy arrays."""
    random = np.random.default_rng(seed)

    def ids(name: str, shape: tuple[int, ...]) -> np.ndarray:
        buckets = of.tables[name].num_ids - 2
        drawn = np.floor(buckets ** random.random(shape))  # 1 to buckets
        return (1 + drawn).astype(np.int32)

    made = []
    for _ in range(count):
        columns = {feature.name: ids(feature.name, (size,)) for feature in of.categoricals}
        for sequence in of.sequences:
            for field in sequence.fields:
                columns[sequence.column(field.name)] = ids(field.name, (size, sequence.max_length))
            columns[sequence.length_column] = np.full((size,), sequence.max_length, np.int32)
        clicks = random.random((size, 1)) < 0.2
        made.append((columns, {label.name: clicks.astype(np.float32) for label in of.labels}))
    return made


def raw_columns(of: FeatureSchema, rows: int) -> dict[str, np.ndarray]:
    """Returns ids as a log has them, all histories full."""
    random = np.random.default_rng(0)
    raw: dict[str, np.ndarray] = {feature.name: random.integers(0, 10**6, rows) for feature in of.categoricals}
    for sequence in of.sequences:
        for field in sequence.fields:
            raw[sequence.column(field.name)] = random.integers(0, 10**6, (rows, sequence.max_length))
        raw[sequence.length_column] = np.full(rows, sequence.max_length)
    return raw


def distinct_rows(of: FeatureSchema, batch: Batch) -> int:
    """Returns how many rows of the tables a batch reads."""
    read: dict[str, list[Any]] = {}
    for column, ids in batch[0].items():
        if not column.endswith("_length"):
            read.setdefault(of.table_of(column), []).append(tf.reshape(ids, (-1,)))
    return sum(int(tf.size(tf.unique(tf.concat(ids, axis=0))[0])) for ids in read.values())


def interformer(
    of: FeatureSchema,
    optimizer: Any = "lazy_adam",
    jit_compile: bool | str = "auto",
    width: int = WIDTH,
    layers: int = LAYERS,
) -> Ranker:
    """Returns a compiled `Ranker` with an InterFormer and towers of [256, 64]."""
    ranker = Ranker(
        of, backbone_config={"num_layers": layers}, embedding={"dim": width}, tower_units=(256, 64), name="standard"
    )
    ranker.compile(optimizer, jit_compile=jit_compile)
    return ranker
