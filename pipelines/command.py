"""What the command lines share."""

import sys
from collections.abc import Callable

from pipelines.config import ConfigError
from pipelines.datasets.tables import DataError
from pipelines.training import Interrupted
from tf_interformer.schema import SchemaError


def run_command(command: Callable[[], None]) -> int:
    """Run a command; what its user can mend is told in one message, without a traceback.

    Returns:
        The exit status: 0, 2 for a wrong input, 130 after an interruption.
    """
    try:
        command()
    except (ConfigError, DataError, SchemaError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        print(f"{stop}; the same command goes on from here", file=sys.stderr)
        return 130
    return 0
