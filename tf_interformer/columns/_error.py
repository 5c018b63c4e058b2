"""The error that a wrong column raises."""


class ColumnError(ValueError):
    """A column holds what it may not; the message names it and the value."""
