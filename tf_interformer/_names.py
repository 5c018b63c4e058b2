"""Users' names where Keras, TensorFlow and Python take few characters only: in layers, variables and arguments."""

import hashlib
import keyword
import re
from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def safe_name(name: str) -> str:
    """A name of letters, digits and underscores: the name itself where it is one, else its likeness and a hash.

    Example:

    >>> safe_name("user_id"), safe_name("größe in cm")
    ('user_id', 'gr_e_in_cm_40aac7f8f5')
    """
    if _PLAIN.fullmatch(name) and name != "self" and not keyword.iskeyword(name):
        return name
    like = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:40]
    # Two names of one likeness must stay apart, and be the same in every process.
    marked = f"{like}_{hashlib.sha256(name.encode()).hexdigest()[:10]}".strip("_")
    return marked if marked[0].isalpha() else f"n_{marked}"


def with_own_name(metric: str, tasks: Iterable[str]) -> str:
    """The name of a metric, in which the task that it begins with is called as the user calls it.

    Example:

    >>> with_own_name(f"{safe_name('2nd try')}_auc", ["2nd try"]), with_own_name("click_auc", ["click"])
    ('2nd try_auc', 'click_auc')
    """
    for task in tasks:
        if metric.startswith(f"{safe_name(task)}_"):
            return metric.replace(safe_name(task), task, 1)
    return metric
