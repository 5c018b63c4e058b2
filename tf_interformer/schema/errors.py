"""The error every wrong schema, and every batch that does not fit its schema, raises."""

from collections.abc import Iterator
from contextlib import contextmanager

from tf_interformer.columns import ColumnError
from tf_interformer.errors import UserError


class SchemaError(UserError):
    """A schema, or data that should follow one, is wrong; the message names the feature and the value."""


@contextmanager
def as_schema_errors() -> Iterator[None]:
    """Within it, a column that may not be so is a `SchemaError`."""
    try:
        yield
    except ColumnError as error:
        raise SchemaError(str(error)) from None
