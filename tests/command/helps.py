"""Prints, as JSON, what each program says of itself: run by `tests.backends.without_tensorflow`."""

import contextlib
import io
import json
import sys

from pipelines.compare import job as job  # `compare` starts it as a program, which imports no sooner
from tf_interformer.command.main import main
from tf_interformer.command.programs import PROGRAMS


def help_of(name: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main([name, "--help"])
    return out.getvalue()


if __name__ == "__main__":
    helps = {name: help_of(name) for name in PROGRAMS}
    assert "keras" not in sys.modules
    print(json.dumps(helps))
