"""Smaller models from trained ones: composite projections replaced by their best low-rank factors."""

from tf_interformer.compression.compression_report import CompressionReport
from tf_interformer.compression.low_rank import low_rank
from tf_interformer.compression.projection_report import ProjectionReport

__all__ = ["CompressionReport", "ProjectionReport", "low_rank"]
