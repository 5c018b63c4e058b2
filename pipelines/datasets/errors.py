"""The error of a data file that cannot be used."""

from tf_interformer.errors import UserError


class DataError(UserError):
    """A data file that cannot be used; the message says which one, why, and what to do."""


def shown(value: object) -> str:
    """A cell as a message shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
