"""What the data is: the one description from which everything else is derived."""

from tf_interformer.comparisons import Distance, Match
from tf_interformer.schema.categorical import Categorical
from tf_interformer.schema.errors import SchemaError
from tf_interformer.schema.feature_schema import Feature, FeatureSchema
from tf_interformer.schema.label import Label
from tf_interformer.schema.numeric import Numeric
from tf_interformer.schema.sequence import Sequence
from tf_interformer.schema.vector import Vector

__all__ = [
    "Categorical",
    "Distance",
    "Feature",
    "FeatureSchema",
    "Label",
    "Match",
    "Numeric",
    "SchemaError",
    "Sequence",
    "Vector",
]
