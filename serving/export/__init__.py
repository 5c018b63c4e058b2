"""Export of a `Ranker` as a SavedModel: raw columns in, probabilities and logits out."""

from serving.export.saved_model import export_saved_model, next_version
from serving.export.signatures import named_outputs

__all__ = ["export_saved_model", "named_outputs", "next_version"]
