"""A client of TensorFlow Serving that ranks candidates for a user."""

from serving.client.errors import InvalidRequest, ServerError
from serving.client.ranker import Ranked, Ranker

__all__ = ["InvalidRequest", "Ranked", "Ranker", "ServerError"]
