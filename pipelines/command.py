"""What the command lines share."""

import argparse
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


def run_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """The command line of what makes one run of a configuration: its data, its folder, its overrides."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {module}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML configuration; see pipelines/configs")
    parser.add_argument("--output", required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the data set's files, where it needs them")
    parser.add_argument("--prepared-dir", metavar="DIR", help="where built data sets are kept "
                        "(default: TFDS_DATA_DIR or ~/tensorflow_datasets)")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
                        help="override a key of the configuration, as in training.epochs=3")  # fmt: skip
    return parser
