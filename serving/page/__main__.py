"""Shows on a web page what a trained ranker does for users of the simulated shop.

    tf-interformer page runs/demo

RUN is a run of `pipelines.train` on the data set `synthetic_clicks`. The page is served on this machine only.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from pipelines.datasets import synthetic_clicks
from tf_interformer.command import add_run, command_parser, run_command
from tf_interformer.errors import UserError
from tf_interformer.run_directory import RunDirectory

if TYPE_CHECKING:
    from serving.page.browser import LogBrowser

_EXAMPLES, _SEED = 4_000, 11


def open_run(path: str) -> "LogBrowser":
    """The model of a run with a simulated log that it was not trained on.

    Raises:
        UserError: No finished run, or one of another data set.
    """
    from serving.page.browser import LogBrowser, PageError

    run = RunDirectory(path)
    ranker = run.load_model()
    if ranker.schema.name != "synthetic_clicks":
        raise UserError(
            f"{run.model}: the page brings a log of synthetic_clicks only. Received: a model of "
            f"{ranker.schema.name!r}. Give your own log to serving.page.LogBrowser"
        )
    # Runs from before schemas named their candidate features lack them.
    candidate = ranker.schema.candidate or synthetic_clicks.schema().candidate
    log = synthetic_clicks.simulate(_EXAMPLES, seed=_SEED)
    try:
        return LogBrowser(ranker, synthetic_clicks.split_by_time(log)["test"], candidate)
    except PageError as error:
        raise UserError(f"{run.model}: {error}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("page", __doc__)
    add_run(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8600, help="port to listen on (default: %(default)s)")
    given = parser.parse_args(arguments)
    if not 0 < given.port < 65536:
        parser.error(f"--port must be between 1 and 65535. Received: {given.port}")

    def serve() -> None:
        from serving.page.app import page_app

        app = page_app(open_run(str(Path(given.run))))
        print(f"http://{given.host}:{given.port}/ (Ctrl-C ends it)", flush=True)
        uvicorn.run(app, host=given.host, port=given.port, log_level="warning")

    return run_command(serve)


if __name__ == "__main__":
    sys.exit(main())
