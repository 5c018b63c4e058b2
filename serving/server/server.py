"""gRPC and REST in one event loop."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from functools import partial

import grpc
import uvicorn
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from serving.server.connection import Connection
from serving.server.grpc_service import GrpcService
from serving.server.options import Options
from serving.server.rest import RestApp
from serving.server.service import Service
from tf_interformer.errors import UserError

_LOG = logging.getLogger("serving")
# Connections that are accepted before the limit is looked at: each is an open file.
_ACCEPTED = 128
_IDLE_MS = 300_000
_HEALTH = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")


class StartError(UserError):
    """The server cannot start; the message says what to do."""


class Server:
    """Serves the versions in a folder until it is stopped.

    Args:
        options: `Options`.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.service = Service(options)
        self.port = 0
        self.rest_port = 0

    async def start(self) -> None:
        """Load the versions and listen. `port` and `rest_port` then hold the ports.

        Raises:
            StartError: No version can be loaded, or a port is taken.
        """
        options = self.options
        if not options.base.is_dir():
            raise StartError(f"{options.base} is no folder: export a model to it first")
        if (options.base / "saved_model.pb").is_file():
            raise StartError(f"{options.base} is one version: give the folder that holds it, {options.base.parent}")
        await self.service.versions.poll()
        try:
            if not self.service.versions.serving:
                reasons = "; ".join(f"{status.version}: {status.error}" for status in self.service.versions.statuses())
                if reasons:
                    raise StartError(f"{options.base}: no version can be loaded: {reasons}")
                raise StartError(f"{options.base} holds no version, as 1/saved_model.pb: export a model to it first")
            listening = _listen(options.host, options.rest_port)
            try:
                await self._start_grpc()
            except BaseException:
                listening.close()
                raise
        except BaseException:
            await self.service.close()
            raise
        self.rest_port = listening.getsockname()[1]
        config = uvicorn.Config(
            RestApp(self.service),
            http=partial(Connection, options.max_connections, options.read_timeout),  # type: ignore[arg-type]
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            backlog=_ACCEPTED,
            timeout_graceful_shutdown=max(1, round(options.grace)),
        )
        self._http = _Http(config)
        self._http_task = asyncio.create_task(self._http.serve([listening]))
        while not self._http.started and not self._http_task.done():
            await asyncio.sleep(0.01)
        self._watching = asyncio.create_task(self.service.versions.watch(options.poll_seconds))

    async def stop(self) -> None:
        """Refuse what is new, finish what is under way, within `grace` seconds, and free the models."""
        self._watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watching
        await self._health.enter_graceful_shutdown()
        self._http.should_exit = True
        await asyncio.gather(self._grpc.stop(self.options.grace), self._http_task)
        await self.service.close()

    async def _start_grpc(self) -> None:
        limit = self.options.max_body_bytes
        self._grpc = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_allowed_incoming_connections", self.options.max_connections),
                ("grpc.server_handshake_timeout_ms", round(1000 * self.options.read_timeout)),
                ("grpc.max_connection_idle_ms", _IDLE_MS),  # a client opens it again by itself
                ("grpc.so_reuseport", 0),  # else a second server would share the port in silence
            ]
        )
        GrpcService(self.service).add_to(self._grpc)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        for name in _HEALTH:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        try:
            self.port = self._grpc.add_insecure_port(f"{_bracketed(self.options.host)}:{self.options.port}")
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise StartError(f"cannot listen on {self.options.host}:{self.options.port}: choose another --port")
        await self._grpc.start()


class _Http(uvicorn.Server):
    """Uvicorn without its own handling of signals, which is the command's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Named, else asyncio does not know it for TCP and leaves Nagle's delay of 40 ms on.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
            listening.listen(1024)
        except BaseException:
            listening.close()
            raise
        return listening
    except OSError as error:
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --rest-port") from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
