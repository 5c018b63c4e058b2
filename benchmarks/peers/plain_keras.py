"""InterFormer as a plain Keras user would put it together: the package's backbone behind Keras's own parts."""

from typing import Any

from tf_interformer import Ranker
from tf_interformer._keras import keras, ops
from tf_interformer.backbones import InterFormer


def plain_keras(ranker: Ranker) -> Any:
    """Returns a compiled model of the ranker's sizes: an `Embedding` per vocabulary, a tower of `Dense`, Keras's Adam.

    Args:
        ranker: `Ranker` with an InterFormer and categorical features only.
    """
    schema, dim = ranker.schema, ranker.embedder.dim
    inputs = {name: keras.Input(shape[1:], dtype="int32", name=name) for name, shape in ranker.encoded_shapes.items()}
    tables = {name: keras.layers.Embedding(owner.num_ids, dim) for name, owner in schema.tables.items()}
    tokens = [tables[schema.table_of(f.name)](inputs[f.name]) for f in schema.categoricals]
    sequences = {}
    for sequence in schema.sequences:
        keys = [sequence.column(f.name) for f in sequence.fields]
        events = [tables[schema.table_of(key)](inputs[key]) for key in keys]
        sequences[sequence.name] = keras.layers.Concatenate()(events)
    backbone = InterFormer(tasks=schema.tasks, num_layers=ranker.backbone.num_layers)
    x = backbone(
        {
            "features": ops.stack(tokens, axis=1),
            "sequences": sequences,
            "lengths": {s.name: inputs[s.length_column] for s in schema.sequences},
        }
    )[schema.tasks[0]]
    for units in ranker.tower_units:
        x = keras.layers.Dense(units, activation="swish")(x)
    model = keras.Model(inputs, keras.layers.Dense(1, name=schema.tasks[0])(x))
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    return model
