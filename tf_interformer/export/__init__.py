"""Export of a `Ranker` as a SavedModel: raw columns in, probabilities and logits out."""

from tf_interformer.export._signatures import named_outputs
from tf_interformer.export.saved_model import export_saved_model, next_version

__all__ = ["export_saved_model", "named_outputs", "next_version"]
