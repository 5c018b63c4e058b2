"""The ids of known values."""

from collections.abc import Iterable
from typing import Any

from tf_interformer.columns._cells import BLANKS


def ids_by_value(missing: Any, vocabulary: Iterable[Any]) -> dict[Any, int]:
    """The id of every known value: 0 of the missing one, from 2 on the vocabulary's."""
    found: dict[Any, int] = {}
    for place, value in enumerate((missing, *vocabulary)):
        # Two values that differ by the blanks around them have one id: that of the more frequent one.
        found.setdefault(value.strip(BLANKS) if isinstance(value, str) else value, place + 1 if place else 0)
    return found
