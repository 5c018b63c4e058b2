"""How a program ends: by its status, and by one message where its user can mend something."""

import os
import sys
from collections.abc import Callable

from tf_interformer._quiet_start import import_tensorflow
from tf_interformer._tensorflow_errors import is_tensorflows, reason
from tf_interformer.command.interrupted import Interrupted
from tf_interformer.errors import UserError


def run_command(command: Callable[[], None], tensorflow: bool = True) -> int:
    """Run a command; what its user can mend is told in one message, without a traceback.

    A program imports TensorFlow, and what needs it, no sooner than here and in its command: by then its arguments are
    read, so `--help` and an error in them are told at once.

    That is what is wrong with an input, and what the machine refuses: files, memory, what TensorFlow finds while it
    computes. Anything else is a mistake of ours, and its traceback is what we need.

    Args:
        command: What the program does.
        tensorflow: Whether it needs TensorFlow, which is imported first, without its notices. Defaults to `True`.

    Returns:
        The exit status: 0, 2 for an error, 130 after an interruption.
    """
    try:
        if tensorflow:
            import_tensorflow()
        command()
    except UserError as error:
        return _told(str(error))
    except OSError as error:
        places = [os.fsdecode(name) for name in (error.filename, error.filename2) if name is not None]
        return _told(f"{' and '.join(places)}: {error.strerror}" if places else str(error))
    except UnicodeError as error:
        return _told(f"a file or an argument is not UTF-8 text: {error}")
    except MemoryError:
        return _told("out of memory: lower training.batch_size or training.shuffle_buffer")
    except Interrupted as stop:
        print(f"{stop}; the same command goes on from here", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("stopped by signal 2", file=sys.stderr)
        return 130
    except Exception as error:
        if not is_tensorflows(error):
            raise
        return _told(f"{type(error).__name__}: {reason(error)}")
    return 0


def _told(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2
