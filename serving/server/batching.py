"""Computes what waits, together where that is allowed."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from serving.server.errors import ServingError
from serving.server.model import LoadedModel
from serving.server.validation import Request
from tf_interformer.schema import FeatureSchema

Outputs = dict[str, np.ndarray]


@dataclass(eq=False)
class _Work:
    request: Request
    answer: asyncio.Future[Outputs]
    deadline: float | None


class Batcher:
    """The queue of one loaded version.

    It never waits: when a worker is free it takes what is there. What arrives meanwhile is the next batch, so that
    batches grow with the load. All methods belong to the event loop.

    Args:
        model: `LoadedModel`.
        max_batch: Rows computed together at most; a larger request is computed alone. 1 turns batching off.
        max_queue: Requests that may wait.
        workers: Batches computed at a time. Defaults to 1.
        on_batch: Called with the rows of every batch. Defaults to nothing.
    """

    def __init__(
        self,
        model: LoadedModel,
        max_batch: int,
        max_queue: int,
        workers: int = 1,
        on_batch: Callable[[int], object] | None = None,
    ) -> None:
        self._model = model
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._workers = workers
        self._on_batch = on_batch
        self._waiting: deque[_Work] = deque()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix=f"model-{model.version}")
        self._computing = 0
        self._held = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def queue_length(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Within it, `close` waits: the request is still being read."""
        self._held += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._held -= 1
            self._set_idle()

    async def run(self, request: Request, deadline: float | None) -> Outputs:
        """The outputs of a request.

        Args:
            request: A checked request.
            deadline: Time of the event loop until which the answer is wanted.

        Raises:
            ServingError: The queue is full, the deadline passed, or the model refused the request.
        """
        self.require_room()
        loop = asyncio.get_running_loop()
        work = _Work(request, loop.create_future(), deadline)
        self._waiting.append(work)
        self._start()
        try:
            async with asyncio.timeout_at(deadline):
                return await work.answer
        except TimeoutError:
            raise _late() from None

    def require_room(self) -> None:
        """Raise RESOURCE_EXHAUSTED when the queue is full."""
        if len(self._waiting) >= self._max_queue:
            raise ServingError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{len(self._waiting)} requests wait already: try again later, or start the server with a larger "
                "--max-queue",
            )

    async def close(self) -> None:
        """Finish what waits, then free the model."""
        await self._idle.wait()
        self._pool.shutdown()
        self._model.close()

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        while self._computing < self._workers:
            batch = self._take(loop.time())
            if not batch:
                break
            self._computing += 1
            self._idle.clear()
            done = loop.run_in_executor(self._pool, compute, self._model, [work.request for work in batch])
            done.add_done_callback(lambda done, batch=batch: self._finish(batch, done))  # type: ignore[misc]
        self._set_idle()

    def _set_idle(self) -> None:
        if not self._computing and not self._held and not self._waiting:
            self._idle.set()

    def _take(self, now: float) -> list[_Work]:
        """The oldest request, and those behind it that can be computed with it."""
        batch: list[_Work] = []
        others: deque[_Work] = deque()
        rows = 0
        while self._waiting:
            work = self._waiting.popleft()
            if work.answer.done():  # its caller is gone
                continue
            if work.deadline is not None and work.deadline <= now:
                work.answer.set_exception(_late())
                continue
            request = work.request
            if not batch or (
                request.signature.batches
                and request.signature is batch[0].request.signature
                and rows + request.rows <= self._max_batch
            ):
                batch.append(work)
                rows += request.rows
            else:
                others.append(work)
            if rows >= self._max_batch or not batch[0].request.signature.batches:
                break
        others.extend(self._waiting)
        self._waiting = others
        return batch

    def _finish(self, batch: list[_Work], done: asyncio.Future[list[Outputs | ServingError]]) -> None:
        self._computing -= 1
        if self._on_batch is not None:
            self._on_batch(sum(work.request.rows for work in batch))
        failure = done.exception()
        answers: Sequence[Any] = [failure] * len(batch) if failure is not None else done.result()
        for work, answer in zip(batch, answers, strict=True):
            if work.answer.done():
                continue
            if isinstance(answer, BaseException):
                work.answer.set_exception(answer)
            else:
                work.answer.set_result(answer)
        self._start()


def compute(model: LoadedModel, requests: list[Request]) -> list[Outputs | ServingError]:
    """The outputs of requests for the same signature, or the error of each that the model refuses."""
    try:
        if len(requests) == 1:
            return [model.run(requests[0].signature.name, requests[0].inputs)]
        outputs = model.run(requests[0].signature.name, concatenate(requests, model.schema))
    except ServingError as error:
        if len(requests) == 1:
            return [error]
        # What the checks let through must still not fail the others.
        return [answer for request in requests for answer in compute(model, [request])]
    return split(outputs, [request.rows for request in requests])


def concatenate(requests: Sequence[Request], schema: FeatureSchema | None) -> dict[str, np.ndarray]:
    """The rows of all requests; narrower histories are padded on the right to the widest."""
    together = {}
    for name in requests[0].inputs:
        arrays = [request.inputs[name] for request in requests]
        if arrays[0].ndim == 2:
            width = max(array.shape[1] for array in arrays)
            arrays = [_widen(array, width, name, schema) for array in arrays]
        together[name] = np.concatenate(arrays)
    return together


def split(outputs: Outputs, rows: Sequence[int]) -> list[Outputs | ServingError]:
    """The rows of each request."""
    ends = np.cumsum(rows)
    for name, value in outputs.items():
        if value.ndim == 0 or len(value) != ends[-1]:
            raise ValueError(f"output {name!r} has the shape {value.shape} for {ends[-1]} rows")
    return [
        {name: value[end - count : end] for name, value in outputs.items()}
        for count, end in zip(rows, ends, strict=True)
    ]


def _widen(array: np.ndarray, width: int, name: str, schema: FeatureSchema | None) -> np.ndarray:
    if array.shape[1] == width:
        return array
    assert schema is not None
    missing = next(column.missing for column in schema.served_columns if column.name == name)
    padded = np.full((len(array), width), missing, array.dtype)
    padded[:, : array.shape[1]] = array
    return padded


def _late() -> ServingError:
    return ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, "the request's deadline passed before it was computed")
