"""What the server counts, for Prometheus."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.server.errors import ServingError


class Seen:
    """One request under way; its signature is set once it is known to exist."""

    signature = "unknown"


class Metrics:
    """Counters of one server.

    `serving_requests_total` by protocol, signature and status; `serving_request_seconds`; `serving_batch_rows`;
    `serving_queue_length`; `serving_loaded_version` by model and version.

    Args:
        queue_length: Gives the number of requests that wait.
    """

    def __init__(self, queue_length: Callable[[], float]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "serving_requests",
            "Requests answered",
            ["protocol", "signature", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "serving_request_seconds",
            "Seconds from the request to its answer",
            ["protocol", "signature"],
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
            registry=self._registry,
        )
        self._rows = Histogram(
            "serving_batch_rows",
            "Rows computed together",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
            registry=self._registry,
        )
        self._loaded = Gauge(
            "serving_loaded_version", "1 for each version that serves", ["model", "version"], registry=self._registry
        )
        Gauge("serving_queue_length", "Requests that wait", registry=self._registry).set_function(queue_length)

    @contextmanager
    def request(self, protocol: str) -> Iterator[Seen]:
        """Counts and times a request."""
        seen, started, status = Seen(), time.perf_counter(), "INTERNAL"
        try:
            yield seen
            status = "OK"
        except ServingError as error:
            status = error.code.name
            raise
        except asyncio.CancelledError:
            status = "CANCELLED"
            raise
        finally:
            self._requests.labels(protocol, seen.signature, status).inc()
            self._seconds.labels(protocol, seen.signature).observe(time.perf_counter() - started)

    def batch(self, rows: int) -> None:
        """Counts a batch."""
        self._rows.observe(rows)

    def loaded(self, model: str, version: int, serves: bool) -> None:
        """Says that a version serves, or no longer does."""
        if serves:
            self._loaded.labels(model, str(version)).set(1)
        else:
            self._loaded.remove(model, str(version))

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self._registry)
