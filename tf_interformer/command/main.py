"""`tf-interformer`: finds the program, and starts it."""

import sys
from collections.abc import Sequence
from importlib import import_module

from tf_interformer import __version__
from tf_interformer._suggestions import did_you_mean
from tf_interformer.command.parser import COMMAND
from tf_interformer.command.programs import PROGRAMS


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; neither the help, of a program neither, nor the version imports TensorFlow.

    Args:
        arguments: Those of the command line. Defaults to `None`: this process's.
    """
    name, *others = (sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    if name in ("-h", "--help"):
        print(_help())
        return 0
    if name in ("-V", "--version"):
        print(f"{COMMAND} {__version__}")
        return 0
    if name not in PROGRAMS:
        hint = did_you_mean(name, PROGRAMS) or f" {COMMAND} --help shows what there is."
        print(f"error: {COMMAND} has no program {name!r}.{hint}", file=sys.stderr)
        return 2
    program = PROGRAMS[name]
    try:
        return int(import_module(program.module).main(others))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("tf_interformer", "pipelines", "serving"):
            raise
        print(f"error: {COMMAND} {name} needs {error.name}: pip install 'tf_interformer[{program.extras}]'",
              file=sys.stderr)  # fmt: skip
        return 2


def _help() -> str:
    width = max(map(len, PROGRAMS))
    return "\n".join(
        [
            f"usage: {COMMAND} PROGRAM ...",
            "",
            "Click-through-rate ranking, from a log on disk to a served model. For example",
            "",
            f"    {COMMAND} train --config synthetic --output runs/demo",
            f"    {COMMAND} rank runs/demo",
            "",
            f"{COMMAND} PROGRAM --help says more. `python -m pipelines.train` and its like start the same programs.",
            "",
            "programs:",
            *(f"  {name:{width}}  {program.summary}" for name, program in PROGRAMS.items()),
            "",
            "options:",
            f"  {'--version':{width}}  which version this is",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
