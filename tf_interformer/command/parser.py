"""The argument parser of a program."""

import argparse

COMMAND = "tf-interformer"


def command_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The parser of one program, whose help shows the description as it stands.

    Args:
        name: What stands behind `tf-interformer`.
        description: The module's text, with an example.
    """
    return argparse.ArgumentParser(
        prog=f"{COMMAND} {name}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_run(parser: argparse.ArgumentParser, what: str = "folder of a finished run") -> None:
    """The folder of a run, as the first argument."""
    parser.add_argument("run", metavar="RUN", help=what)
