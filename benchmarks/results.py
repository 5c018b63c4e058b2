"""Results as files."""

import json
from pathlib import Path
from typing import Any

from tf_interformer.whole import write_text


def write(path: Path, result: dict[str, Any]) -> None:
    """Write a JSON file under a temporary name, then rename it."""
    write_text(path, json.dumps(result, indent=1) + "\n")
