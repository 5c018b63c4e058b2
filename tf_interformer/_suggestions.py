"""What a wrong name may have been meant to be."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """` Did you mean ...?`, to be put behind an error; nothing where no known name is like it.

    Example:

    >>> did_you_mean("interfomer", ["fm", "hiformer", "interformer"])
    " Did you mean 'interformer'?"
    >>> did_you_mean("x", ["fm"])
    ''
    """
    like = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {like[0]!r}?" if like else ""
