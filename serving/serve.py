"""Serve exported models over TensorFlow Serving's gRPC and REST API.

tf-interformer serve runs/demo/saved_model --name demo

For development, tests and small loads; TensorFlow Serving is for production. docs/server.md says where it differs.
"""

import argparse
import asyncio
import contextlib
import gc
import logging
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from serving.server.options import Engine, Options
from tf_interformer._tensorflow import tf
from tf_interformer.command import command_parser, run_command
from tf_interformer.errors import UserError

# Of the model, and of connections that are about to be refused.
_OTHER_FILES = 768


async def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way.

    Args:
        options: `Options`.

    Raises:
        UserError: No version can be loaded, or a port is taken.
    """
    from serving.server.server import Server

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _allow_files(2 * options.max_connections + _OTHER_FILES)
    # What is there by now stays; so each collection after a version is unloaded looks at little.
    gc.collect()
    gc.freeze()
    server = Server(options)
    await server.start()
    print(f"gRPC on {options.host}:{server.port}", flush=True)
    print(f"REST on http://{options.host}:{server.rest_port}/v1/models/{options.name}", flush=True)
    print("for development and small loads; TensorFlow Serving is for production", flush=True)
    await stop.wait()
    with contextlib.suppress(OSError):  # who started it may be gone, and no longer read this
        print(f"stopping: requests under way get {options.grace:g} s", flush=True)
    await server.stop()


def parse(arguments: Sequence[str] | None = None) -> Options:
    """The options on the command line."""
    parser = command_parser("serve", __doc__)
    add = parser.add_argument
    add("base", metavar="BASE", type=Path, help="folder of the versions, as RUN/saved_model with its folder 1")
    add("--name", help="name of the model in requests (default: the folder's)")
    add("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)")
    add("--port", type=_port, default=8500, help="gRPC port; 0: any (default: 8500)")
    add("--rest-port", type=_port, default=8501, help="REST port; 0: any (default: 8501)")
    engine_help = "what computes: tensorflow, or the ONNX files of `export --onnx` (default: tensorflow)"
    add("--engine", choices=get_args(Engine), default="tensorflow", help=engine_help)
    add("--versions", choices=["latest", "all"], default="latest", help="which versions are served (default: latest)")
    add("--poll-seconds", type=_positive, default=1.0, metavar="S", help="between two looks at BASE (default: 1)")
    add("--no-batching", action="store_true", help="compute every request by itself")
    add("--max-batch", type=_count, default=256, metavar="ROWS", help="rows computed together (default: 256)")
    add("--max-queue", type=_count, default=256, metavar="N", help="requests that may wait (default: 256)")
    add("--max-rows", type=_count, default=10_000, metavar="ROWS", help="rows of one request (default: 10000)")
    add("--max-body-mb", type=_positive, default=16, metavar="MB", help="size of one request (default: 16)")
    add("--max-connections", type=_count, default=512, metavar="N", help="of REST, and of gRPC (default: 512)")
    add("--read-timeout", type=_positive, default=20.0, metavar="S", help="to receive a request (default: 20)")
    add("--timeout", type=_positive, default=30.0, metavar="S", help="of requests without a deadline (default: 30)")
    add("--grace", type=_positive, default=10.0, metavar="S", help="for requests under way at the end (default: 10)")
    given = parser.parse_args(arguments)
    return Options(
        base=given.base,
        name=given.name or given.base.resolve().name,
        host=given.host,
        port=given.port,
        rest_port=given.rest_port,
        engine=given.engine,
        versions=given.versions,
        poll_seconds=given.poll_seconds,
        batching=not given.no_batching,
        max_batch=given.max_batch,
        max_queue=given.max_queue,
        max_rows=given.max_rows,
        max_body_mb=given.max_body_mb,
        max_connections=given.max_connections,
        read_timeout=given.read_timeout,
        timeout=given.timeout,
        grace=given.grace,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    options = parse(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    logging.getLogger("serving").setLevel(logging.INFO)

    def run() -> None:
        tf.get_logger().setLevel("ERROR")
        asyncio.run(serve(options))

    return run_command(run)


def _allow_files(count: int) -> None:
    """Let this process have so many files open: a connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise UserError(
            f"{count} open files are needed, of which `ulimit -Hn` allows {hard}: choose a smaller --max-connections"
        )
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535. Received: {text}")
    return int(text)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1. Received: {text}")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0. Received: {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
