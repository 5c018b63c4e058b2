"""What a version can be asked."""

from dataclasses import dataclass, field
from typing import Any, Literal

import tensorflow as tf

from tf_interformer.schema import FeatureSchema, RawColumn
from tf_interformer.schema._name import STATE_PREFIX

Kind = Literal["columns", "candidates", "examples", "other"]
# Signatures whose rows are known to be independent of each other.
_ROWWISE = {"serving_default", "embed"}
_CANDIDATES = {"score_candidates", "score_known_user"}
_EXAMPLES = {"serve_examples", "classify", "regress"}


@dataclass(frozen=True)
class Signature:
    """One signature of a SavedModel.

    Args:
        name: str. Its key.
        definition: `SignatureDef`.
        kind: `"columns"`: the schema's columns, or the user's of them; `"candidates"`: the schema's columns, one user
            and many items, maybe beside the user's state; `"examples"`: serialized `tf.train.Example`s; `"other"`:
            nothing is known but dtypes and shapes.
        columns: Those of its inputs that are columns of the schema, of the first two kinds. Defaults to none.

    Attributes:
        inputs: The spec of each input.
        outputs: The spec of each output.
        shapes: The shape of each input, None where it is unknown: read for every request.
    """

    name: str
    definition: Any
    kind: Kind
    columns: tuple[RawColumn, ...] = ()
    inputs: dict[str, tf.TensorSpec] = field(init=False)
    outputs: dict[str, tf.TensorSpec] = field(init=False)
    shapes: dict[str, tuple[int | None, ...] | None] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", _specs(self.definition.inputs))
        object.__setattr__(self, "outputs", _specs(self.definition.outputs))
        shapes = {
            name: None if spec.shape.rank is None else tuple(spec.shape.as_list()) for name, spec in self.inputs.items()
        }
        object.__setattr__(self, "shapes", shapes)

    @property
    def method(self) -> str:
        """TensorFlow Serving's name of the method, such as `tensorflow/serving/predict`."""
        return self.definition.method_name

    @property
    def batches(self) -> bool:
        """Whether rows of different requests may be computed together."""
        return self.kind in ("columns", "examples")


def signature_of(name: str, definition: Any, schema: FeatureSchema | None) -> Signature:
    """The signature of that name, and of which kind it is.

    Args:
        name: Its key in the SavedModel.
        definition: `SignatureDef`.
        schema: `FeatureSchema` beside the model, if there is one.
    """
    kind = "other" if schema is None else _kind(name, definition.inputs, schema)
    if schema is None or kind not in ("columns", "candidates"):
        return Signature(name, definition, kind)
    columns = tuple(column for column in schema.served_columns if column.name in definition.inputs)
    return Signature(name, definition, kind, columns)


def _kind(name: str, tensors: Any, schema: FeatureSchema) -> Kind:
    inputs = set(tensors)
    served = {column.name for column in schema.served_columns}
    if name == "embed_user" and inputs == {column.name for column in schema.served_columns if column.side == "user"}:
        return "columns"
    if name in _ROWWISE and inputs == served:
        return "columns"
    if name == "score_known_user":
        inputs = {given for given in inputs if not given.startswith(STATE_PREFIX)}
    if name in _CANDIDATES and inputs == served and schema.served_candidate:
        return "candidates"
    if name in _EXAMPLES and [tensor.dtype for tensor in tensors.values()] == [tf.string.as_datatype_enum]:
        return "examples"
    return "other"


def _specs(tensors: Any) -> dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec(tf.TensorShape(tensors[name].tensor_shape), tf.as_dtype(tensors[name].dtype), name)
        for name in sorted(tensors)
    }
