"""What gRPC and REST have in common: one model's name, versions, limits and metrics."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from serving.server.batching import Batcher, Outputs
from serving.server.errors import invalid, not_found
from serving.server.metrics import Metrics, Seen
from serving.server.model import LoadedModel
from serving.server.options import Options
from serving.server.signature import Signature
from serving.server.validation import check
from serving.server.versions import Served, Versions

# How a protocol's message becomes arrays, for a signature of a model.
Decode = Callable[[LoadedModel, Signature], dict[str, np.ndarray]]


class Answer(NamedTuple):
    """Outputs, and what computed them."""

    outputs: Outputs
    signature: Signature
    version: int


class Service:
    """Answers requests, whatever the protocol.

    Args:
        options: `Options`.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.versions = Versions(options.base, options.name, options.versions, self._batcher, self._changed)
        self.metrics = Metrics(lambda: self.versions.queue_length)

    def require_model(self, name: str) -> None:
        """Raise NOT_FOUND for any other model."""
        if name != self.options.name:
            raise not_found(f"this server serves the model {self.options.name!r}. Received: {name!r}")

    def find(self, name: str, version: int | None) -> Served:
        """The version asked for."""
        self.require_model(name)
        return self.versions.get(version)

    async def predict(
        self, name: str, version: int | None, signature: str, decode: Decode, seen: Seen, timeout: float | None = None
    ) -> Answer:
        """Compute a signature.

        Args:
            name: Name of the model.
            version: Number of the version, or None for the highest.
            signature: Name of the signature; empty means `serving_default`.
            decode: Gives the inputs. It is called when everything else of the request is found right.
            seen: Learns the signature.
            timeout: Seconds left for the answer. Defaults to the server's.

        Raises:
            ServingError: The request gets no scores.
        """
        deadline = asyncio.get_running_loop().time() + (self.options.timeout if timeout is None else timeout)
        served = self.find(name, version)
        model = served.model
        known = model.signatures.get(signature or "serving_default")
        if known is None:
            raise invalid(
                f"version {model.version} has the signatures {sorted(model.signatures)}. "
                f"Received: {signature or 'serving_default'!r}"
            )
        seen.signature = known.name
        served.batcher.require_room()  # before the work of reading the request
        request = check(known, model.schema, decode(model, known), self.options.max_rows)
        return Answer(await served.batcher.run(request, deadline), known, model.version)

    def _batcher(self, model: LoadedModel) -> Batcher:
        options = self.options
        if options.batching:
            return Batcher(model, options.max_batch, options.max_queue, on_batch=self.metrics.batch)
        return Batcher(model, 1, options.max_queue, options.threads, self.metrics.batch)

    def _changed(self, version: int, serves: bool) -> None:
        self.metrics.loaded(self.options.name, version, serves)
