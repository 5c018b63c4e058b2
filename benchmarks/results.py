"""Results as files."""

import json
from pathlib import Path
from typing import Any


def write(path: Path, result: dict[str, Any]) -> None:
    """Write a JSON file under a temporary name, then rename it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(result, indent=1) + "\n")
    partial.replace(path)
