"""A schema's JSON text."""

import json
import os
from pathlib import Path
from typing import Any

from tf_interformer.schema.errors import SchemaError


def config_of(source: str | os.PathLike) -> dict[str, Any]:
    """What the JSON text of a schema, or the file that holds it, says.

    Raises:
        SchemaError: It cannot be read, or is no JSON object.
    """
    text, where = os.fspath(source), "the JSON text"
    if not text.lstrip().startswith("{"):
        where = f"the file {text}"
        try:
            text = Path(text).read_text(encoding="utf-8")
        except OSError as error:
            raise SchemaError(f"cannot read the schema from {where}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SchemaError(f"{where} is not UTF-8 text: save it as UTF-8") from None
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{where} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise SchemaError(f"{where} must hold a JSON object. Received: {type(config).__name__}")
    return config
