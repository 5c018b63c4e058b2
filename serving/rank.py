"""Rank candidates for a user with a served model.

    tf-interformer rank runs/demo
    tf-interformer rank runs/demo --address grpc://ranker.example:8500 --name demo

Without an address the run's own SavedModel is served on this machine for as long as it takes. What is ranked is the
run's `example_ranking.json`, or another file of the same form.
"""

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from serving.client import InvalidRequest, Ranked, Ranker, ServerError
from serving.server.options import Options
from tf_interformer.command import add_run, command_parser, run_command
from tf_interformer.errors import UserError
from tf_interformer.run_directory import RunDirectory


def rank(run_path: str, file: str | None = None, address: str | None = None, name: str | None = None) -> list[Ranked]:
    """The candidates of a file, the most probable first.

    Args:
        run_path: Folder of a finished run.
        file: JSON with `user_features`, `history` and `candidates`. Defaults to the run's `example_ranking.json`.
        address: Server to ask. Defaults to one in this process, which serves the run's SavedModel.
        name: Name of the model there. Defaults to the folder's.

    Raises:
        UserError: No finished run, a file that does not fit, or a server that does not answer.
    """
    from serving.server.in_thread import in_thread
    from serving.server.server import StartError

    run = RunDirectory(run_path)
    path = run.example_ranking if file is None else Path(file)
    try:
        asked = json.loads(path.read_text(encoding="utf-8"))
        user, history, candidates = asked["user_features"], asked["history"], asked["candidates"]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: give a finished run whose schema names candidate features") from None
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise UserError(f"{path} must hold user_features, history and candidates as JSON: {error!r}") from None
    with ExitStack() as stack:
        try:
            if address is None:
                options = Options(run.saved_model, name=name or "model", port=0, rest_port=0)
                server, _ = stack.enter_context(in_thread(options))
                address = f"grpc://127.0.0.1:{server.port}"
            client = stack.enter_context(Ranker(address, schema=run.schema, name=name or "model"))
            return client.rank(user, history, candidates)
        except StartError as error:
            raise UserError(f"{run.saved_model}: {error}") from None
        except (InvalidRequest, ServerError) as error:
            raise UserError(f"{path}: {error}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("rank", __doc__)
    add_run(parser)
    parser.add_argument("file", metavar="FILE", nargs="?", help="what to rank (default: RUN/example_ranking.json)")
    parser.add_argument("--address", help="grpc://HOST:PORT or http://HOST:PORT of a server")
    parser.add_argument("--name", help="name of the model there")
    given = parser.parse_args(arguments)

    def show() -> None:
        for place, ranked in enumerate(rank(given.run, given.file, given.address, given.name), 1):
            features = ", ".join(f"{name} {_short(value)}" for name, value in list(ranked.candidate.items())[:3])
            print(f"{place:3}. {ranked.probability:.4f}  {features}")

    return run_command(show)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
