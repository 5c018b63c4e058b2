"""What the data is: the one description from which everything else is derived."""

from tf_interformer.schema.categorical import Categorical
from tf_interformer.schema.distance import Distance
from tf_interformer.schema.encoded_column import EncodedColumn
from tf_interformer.schema.errors import SchemaError
from tf_interformer.schema.feature_schema import FeatureSchema
from tf_interformer.schema.kinds import Feature
from tf_interformer.schema.label import Label
from tf_interformer.schema.match import Match
from tf_interformer.schema.moment import Moment
from tf_interformer.schema.numeric import Numeric
from tf_interformer.schema.raw_column import RawColumn
from tf_interformer.schema.sequence import Sequence
from tf_interformer.schema.vector import Vector

__all__ = [
    "Categorical",
    "Distance",
    "EncodedColumn",
    "Feature",
    "FeatureSchema",
    "Label",
    "Match",
    "Moment",
    "Numeric",
    "RawColumn",
    "SchemaError",
    "Sequence",
    "Vector",
]
