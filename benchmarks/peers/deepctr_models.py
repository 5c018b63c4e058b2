"""DIN and DCN of DeepCTR (`pip install deepctr tf_keras`), as the package makes them, to measure beside.

They are other models than InterFormer: they tell what a step of a well-known package costs on the same input, not how
well another InterFormer is written. Fields, tables, widths and tower units are those of the standard work; all else
is the package's default. A history is the events of all sequences behind one another, as DIN takes one of them.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from deepctr.feature_column import SparseFeat, VarLenSparseFeat
from deepctr.models import DCN, DIN

from tf_interformer import FeatureSchema


def deepctr_model(schema: FeatureSchema, name: str, width: int, units: tuple[int, ...]) -> Any:
    """Returns a compiled model of `tf_keras` that takes `deepctr_columns`.

    Args:
        schema: `FeatureSchema` of categorical features and sequences with the same fields.
        name: `din` or `dcn`.
        width: int. Of the embeddings.
        units: tuple of ints. Of the tower.
    """

    def sparse(column: str, table: str) -> Any:
        return SparseFeat(column, schema.tables[table].num_ids, width, embedding_name=table)

    fields = [field.name for field in schema.sequences[0].fields]
    events = sum(sequence.max_length for sequence in schema.sequences)
    columns = [sparse(feature.name, schema.table_of(feature.name)) for feature in schema.categoricals]
    columns += [VarLenSparseFeat(sparse(f"hist_{field}", schema.table_of(field)), events) for field in fields]
    if name == "din":
        model = DIN(columns, fields, dnn_hidden_units=units)
    else:
        model = DCN(columns, columns, dnn_hidden_units=units)
    model.compile("adam", "binary_crossentropy")
    return model


def deepctr_columns(schema: FeatureSchema, columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns encoded columns of the schema under the names and in the shapes of the package."""
    made = {feature.name: tf.expand_dims(columns[feature.name], 1) for feature in schema.categoricals}
    for field in schema.sequences[0].fields:
        events = [columns[sequence.column(field.name)] for sequence in schema.sequences]
        made[f"hist_{field.name}"] = tf.concat(events, 1)
    return made
