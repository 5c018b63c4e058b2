"""What a column, a sequence or a task may be called."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator

# In an encoded batch it says which list, or user, each example is of: `Preprocessor.training_batch`.
LIST_COLUMN = "_list"
# In a batch of requests it says which row of the user's columns each example is of.
ROW_COLUMN = "_row"
# With it begin the names of what a served model knows of a user, see `Ranker.embed_user`.
STATE_PREFIX = "user_state/"


def fault_of(name: str) -> str | None:
    """Why nothing may be called so; None where it may.

    Example:

    >>> fault_of("größe/cm"), fault_of("")
    (None, 'a name may not be empty')
    """
    if not name.strip():
        return "a name may not be empty"
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        return "a name may hold no control characters, line ends among them, and no halves of characters"
    if name in (LIST_COLUMN, ROW_COLUMN):
        return f"{name!r} is what batches call the {'list' if name == LIST_COLUMN else 'user'} of an example"
    if name.startswith(STATE_PREFIX):
        return f"{STATE_PREFIX!r} is how names of a user's state begin"
    return None


def _checked(name: str) -> str:
    fault = fault_of(name)
    if fault is not None:
        raise ValueError(f"{fault}. Received: {name!r}")
    return name


Name = Annotated[str, AfterValidator(_checked)]
