"""The command line: the one command, `tf-interformer`, and what its programs share."""

from tf_interformer.command.interrupted import Interrupted
from tf_interformer.command.parser import add_run, command_parser
from tf_interformer.command.running import run_command

__all__ = ["Interrupted", "add_run", "command_parser", "run_command"]
