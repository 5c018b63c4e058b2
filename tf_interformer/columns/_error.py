"""The error that a wrong column raises."""

from tf_interformer.errors import UserError


class ColumnError(UserError):
    """A column holds what it may not; the message names it and the value."""
