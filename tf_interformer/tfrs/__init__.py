"""InterFormer's parts for TensorFlow Recommenders (TFRS), which needs legacy Keras: TF_USE_LEGACY_KERAS=1."""

from tf_interformer._keras import LEGACY
from tf_interformer._tensorflow import tf as _tf

# TensorFlow may have taken Keras 3 before the variable was set; `version` is a function that only Keras 3 has.
if not LEGACY or hasattr(_tf.keras, "version"):
    raise ImportError(
        "tf_interformer.tfrs needs legacy Keras, as TensorFlow Recommenders does: set the environment variable "
        "TF_USE_LEGACY_KERAS=1 before the first import of tensorflow, keras or tf_interformer. "
        f"Received: Keras {'2' if LEGACY else '3'} in tf_interformer, "
        f"Keras {'3' if hasattr(_tf.keras, 'version') else '2'} in tensorflow"
    )

from tf_interformer.tfrs.feature_interaction import FeatureInteraction
from tf_interformer.tfrs.ranking_model import RankingModel

__all__ = ["FeatureInteraction", "RankingModel"]
