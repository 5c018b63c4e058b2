"""What TensorFlow says, for people; TensorFlow itself is not imported for it."""

import re
import sys


def is_tensorflows(error: Exception) -> bool:
    """Whether TensorFlow found it while it computed."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(error, tensorflow.errors.OpError)


def reason(error: Exception) -> str:
    """What is wrong, without TensorFlow's traces of its own graph before and behind it."""
    text = str(getattr(error, "message", error)).split("[[")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    asserted = [line for line in lines if line.startswith("assertion failed")]
    line = (asserted or lines[-1:] or ["unreadable"])[0]
    line = re.sub(r"^(\{\{[^}]*\}\} )?(Error in user-defined function .*?(?=Name: ))?(Name: <unknown>, )?", "", line)
    return re.sub(r" ?\[Op:\w+\].*$", "", line).strip()
