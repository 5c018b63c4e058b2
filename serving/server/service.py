"""What gRPC and REST have in common: one model's name, versions, limits and metrics."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import grpc
import numpy as np

from serving.server.batching import Batcher, Outputs
from serving.server.body_budget import BodyBudget
from serving.server.engines import loader
from serving.server.errors import ServingError, invalid, not_found
from serving.server.metrics import Metrics, Seen
from serving.server.model import LoadedModel
from serving.server.options import Options
from serving.server.signature import Signature
from serving.server.validation import Request, check
from serving.server.versions import Served, Versions

Made = TypeVar("Made")
# What is larger is read in a thread: the event loop, and with it every other request, would wait meanwhile.
_READ_AT_ONCE = 2**16
# The largest requests that may be under way at a time, in bytes.
_BODIES = 16


class Unread(NamedTuple):
    """Inputs that are found right as far as that can be seen without reading them; `size` bytes are to be read."""

    size: int
    read: Callable[[], dict[str, np.ndarray]]


# How a protocol's message becomes arrays, for a signature of a model.
Decode = Callable[[LoadedModel, Signature], Unread]


class Answer(NamedTuple):
    """Outputs, and what computed them."""

    outputs: Outputs
    signature: Signature
    version: int
    rows: int


class Service:
    """Answers requests, whatever the protocol.

    Args:
        options: `Options`.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.versions = Versions(
            options.base, options.name, loader(options.engine), options.versions, self._batcher, self._changed
        )
        self.metrics = Metrics(lambda: self.versions.queue_length)
        self.bodies = BodyBudget(_BODIES * options.max_body_bytes)
        # One: two large requests at a time would take twice the memory, and no less time.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="reader")

    def require_model(self, name: str) -> None:
        """Raise NOT_FOUND for any other model, INVALID_ARGUMENT without a name."""
        if not name:
            raise invalid("the request must name its model")
        if name != self.options.name:
            raise not_found(f"this server serves the model {self.options.name!r}. Received: {name!r}")

    def find(self, name: str, version: int | None) -> Served:
        """The version asked for."""
        self.require_model(name)
        return self.versions.get(version)

    async def read(self, size: int, make: Callable[[], Made]) -> Made:
        """What `make` makes of so many bytes; in a thread where they are many."""
        if size <= _READ_AT_ONCE:
            return make()
        return await asyncio.get_running_loop().run_in_executor(self._reader, make)

    async def predict(
        self,
        name: str,
        version: int | None,
        signature: str,
        decode: Decode,
        seen: Seen,
        timeout: float | None = None,
        missing: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT,
    ) -> Answer:
        """Compute a signature.

        Args:
            name: Name of the model.
            version: Number of the version, or None for the highest.
            signature: Name of the signature; empty means `serving_default`.
            decode: Gives the inputs. It is called when everything else of the request is found right.
            seen: Learns the signature.
            timeout: Seconds left for the answer. Defaults to the server's.
            missing: What it is when the version has no such signature. Defaults to INVALID_ARGUMENT.

        Raises:
            ServingError: The request gets no scores.
        """
        deadline = asyncio.get_running_loop().time() + (self.options.timeout if timeout is None else timeout)
        served = self.find(name, version)
        model = served.model
        known = model.signatures.get(signature or "serving_default")
        if known is None:
            asked = signature or "serving_default"
            also = f", and with --engine tensorflow {asked!r}" if asked in model.left_out else ""
            raise ServingError(
                missing,
                f"version {model.version} has the signatures {sorted(model.signatures)}{also}. Received: {asked!r}",
            )
        seen.signature = known.name
        served.batcher.require_room()  # before the work of reading the request

        unread = decode(model, known)

        def read() -> Request:
            return check(known, model.schema, unread.read(), self.options.max_rows)

        with served.batcher.hold():
            request = await self.read(unread.size, read)
            held = sum(array.nbytes for array in request.inputs.values())
            with self.bodies.hold(held):
                outputs = await served.batcher.run(request, deadline)
            return Answer(outputs, known, model.version, request.rows)

    async def close(self) -> None:
        """Finish what is under way, then free the models."""
        await self.versions.close()
        self._reader.shutdown()

    def _batcher(self, model: LoadedModel) -> Batcher:
        options = self.options
        if options.batching:
            return Batcher(model, options.max_batch, options.max_queue, on_batch=self.metrics.batch)
        return Batcher(model, 1, options.max_queue, options.threads, self.metrics.batch)

    def _changed(self, version: int, serves: bool) -> None:
        self.metrics.loaded(self.options.name, version, serves)
