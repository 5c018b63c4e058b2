"""What a version can be asked."""

from dataclasses import dataclass, field
from typing import Any, Literal

import tensorflow as tf

from tf_interformer.schema import FeatureSchema

Kind = Literal["columns", "candidates", "examples", "other"]
# Signatures whose rows are known to be independent of each other.
_ROWWISE = {"serving_default", "embed"}
_EXAMPLES = {"serve_examples", "classify", "regress"}


@dataclass(frozen=True)
class Signature:
    """One signature of a SavedModel.

    Args:
        name: str. Its key.
        definition: `SignatureDef`.
        kind: `"columns"`: the schema's columns; `"candidates"`: the same, one user and many items; `"examples"`:
            serialized `tf.train.Example`s; `"other"`: nothing is known but dtypes and shapes.

    Attributes:
        inputs: The spec of each input.
        outputs: The spec of each output.
        shapes: The shape of each input, None where it is unknown: read for every request.
    """

    name: str
    definition: Any
    kind: Kind
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
    kind: Kind = "other"
    inputs = definition.inputs
    if schema is not None:
        by_columns = set(inputs) == {column.name for column in schema.served_columns}
        if by_columns and name in _ROWWISE:
            kind = "columns"
        elif by_columns and name == "score_candidates" and schema.served_candidate:
            kind = "candidates"
        elif name in _EXAMPLES and len(inputs) == 1 and next(iter(inputs.values())).dtype == tf.string.as_datatype_enum:
            kind = "examples"
    return Signature(name, definition, kind)


def _specs(tensors: Any) -> dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec(tf.TensorShape(tensors[name].tensor_shape), tf.as_dtype(tensors[name].dtype), name)
        for name in sorted(tensors)
    }
