"""What can go wrong with a ranking request."""

from tf_interformer.errors import UserError


class InvalidRequest(UserError):
    """The request, schema or address is wrong; nothing was sent. The message names the feature and the value."""


class ServerError(RuntimeError):
    """The server refused the request, or gave no answer within the deadline."""
