"""What the command lines share."""

import argparse
import os
import sys
from collections.abc import Callable

import tensorflow as tf

from pipelines.config import ConfigError
from pipelines.datasets.tables import DataError
from pipelines.read_errors import reason
from pipelines.training import Interrupted
from tf_interformer.schema import SchemaError


def run_command(command: Callable[[], None]) -> int:
    """Run a command; what its user can mend is told in one message, without a traceback.

    That is what is wrong with an input, and what the machine refuses: files, memory, what TensorFlow finds while it
    computes. Anything else is a mistake of ours, and its traceback is what we need.

    Returns:
        The exit status: 0, 2 for an error, 130 after an interruption.
    """
    try:
        command()
    except (ConfigError, DataError, SchemaError) as error:
        return _told(str(error))
    except OSError as error:
        places = [os.fsdecode(name) for name in (error.filename, error.filename2) if name is not None]
        return _told(f"{' and '.join(places)}: {error.strerror}" if places else str(error))
    except UnicodeError as error:
        return _told(f"a file or an argument is not UTF-8 text: {error}")
    except MemoryError:
        return _told("out of memory: lower training.batch_size or training.shuffle_buffer")
    except tf.errors.OpError as error:
        return _told(f"{type(error).__name__}: {reason(error)}")
    except Interrupted as stop:
        print(f"{stop}; the same command goes on from here", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("stopped by signal 2", file=sys.stderr)
        return 130
    return 0


def _told(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


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
                        help="override a key of the configuration, as in training.epochs=3; another model.backbone "
                        "comes without the file's model.backbone_config")  # fmt: skip
    return parser
