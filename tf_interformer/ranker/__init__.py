"""A click-through-rate ranking model: schema, backbone, one tower per task."""

from tf_interformer.ranker.ranker import Ranker as Ranker
