"""The error every wrong schema, and every batch that does not fit its schema, raises."""


class SchemaError(ValueError):
    """A schema, or data that should follow one, is wrong; the message names the feature and the value."""
