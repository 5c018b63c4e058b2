"""Ranks candidates with a model that is served."""

import os
import re
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import numpy as np

from serving.client.deadline import within_deadline
from serving.client.errors import InvalidRequest, ServerError
from serving.client.request import Request, RequestBuilder
from tf_interformer._output_names import output_name

_ADDRESS = re.compile(r"(?:(?P<scheme>grpc|https?)://)?(?P<host>[^/\s:]+|\[[0-9a-fA-F:]+\]):(?P<port>\d+)/?")


class Ranked(NamedTuple):
    """A candidate in its place.

    Attributes:
        place: Its place in the list that was given.
        candidate: What was given.
        probability: Of the task by which the list is ordered.
        probabilities: Task name -> probability.
    """

    place: int
    candidate: Mapping[str, Any]
    probability: float
    probabilities: dict[str, float]


class _Transport(Protocol):
    def predict(self, request: Request, seconds: float) -> dict[str, np.ndarray]: ...

    def close(self) -> None: ...


class Ranker:
    """Client of a served ranker: TensorFlow Serving, or anything that speaks its API.

    What a request must hold comes from `schema.json` alone, and what does not fit is refused before anything is sent.
    Where the schema names `candidate` features, the signature `score_candidates` takes the user once; otherwise
    `serving_default` takes the user repeated for each candidate. Several threads may use one `Ranker`.

    Args:
        address: str. `"grpc://HOST:PORT"`, `"http://HOST:PORT"` or `"https://HOST:PORT"`; `"HOST:PORT"` is gRPC.
            REST needs neither TensorFlow nor Keras on the client; for gRPC TensorFlow Serving's protos import
            TensorFlow.
        schema: Path of the model's `assets.extra/schema.json`, or the dict that it holds.
        name: str. Name of the model on the server.
        timeout: float. Seconds within which `rank` answers or raises, retries included. Defaults to 5.
        version: int or None. The version to ask. Defaults to `None`: the server's choice, the latest.
        task: str or None. The task to order by. Defaults to `None`: the schema's first label.
        repeat_user: bool. Take `serving_default` all the same: for a server that batches, which refuses inputs of
            unequal lengths. Defaults to `False`.

    Raises:
        InvalidRequest: The address, the schema, the time or the task is wrong.

    Example:

        with Ranker("http://localhost:8501", schema="models/shop/1/assets.extra/schema.json", name="shop") as ranker:
            best = ranker.rank({"user": "ann"}, {"viewed": ["b", "a"]}, [{"item": "a"}, {"item": "c"}])[0]
    """

    def __init__(
        self,
        address: str,
        *,
        schema: str | os.PathLike | Mapping[str, Any],
        name: str,
        timeout: float = 5.0,
        version: int | None = None,
        task: str | None = None,
        repeat_user: bool = False,
    ) -> None:
        if not timeout > 0:
            raise InvalidRequest(f"`timeout` must be above 0 seconds. Received: {timeout}")
        self.timeout = timeout
        self._builder = RequestBuilder(schema, repeat_user)
        self.tasks = tuple(self._builder.tasks)
        self.task = self.tasks[0] if task is None else task
        if self.task not in self.tasks:
            raise InvalidRequest(f"`task` must be one of {list(self.tasks)}. Received: {task!r}")
        self._transport = _transport(address, name, version)

    def rank(
        self,
        user_features: Mapping[str, Any],
        history: Mapping[str, Sequence[Any]],
        candidates: Sequence[Mapping[str, Any]],
    ) -> list[Ranked]:
        """The candidates, the most probable first; of equals the earlier first.

        Args:
            user_features: dict. Every feature that is not the candidate's, by name. `None` is a missing value.
            history: dict. Name of each sequence -> list of events, oldest first; an event is a dict of its fields,
                or the bare value where there is one field. An empty history is `[]`.
            candidates: list of dict. Every `candidate` feature of the schema, by name; where the schema names none,
                every feature that `user_features` does not hold.

        Raises:
            InvalidRequest: A feature is missing, unknown, of another type or too long. Nothing was sent.
            ServerError: The server refused the request, or gave no answer within `timeout`.
        """
        if not len(candidates):
            return []
        request = self._builder.build(user_features, history, candidates)
        outputs = within_deadline(lambda left: self._transport.predict(request, left), self.timeout)
        scores = {task: self._scores(outputs, task, len(candidates)) for task in self.tasks}
        order = np.argsort(-scores[self.task], kind="stable").tolist()
        return [
            Ranked(
                place,
                candidates[place],
                float(scores[self.task][place]),
                {task: float(values[place]) for task, values in scores.items()},
            )
            for place in order
        ]

    def _scores(self, outputs: Mapping[str, np.ndarray], task: str, count: int) -> np.ndarray:
        name = output_name("probability", task, len(self.tasks))
        if name not in outputs or outputs[name].size != count:
            found = {output: list(values.shape) for output, values in outputs.items()}
            raise ServerError(f"the model must return {name!r} for {count} candidates: is this its schema.json? "
                              f"Received: {found}")  # fmt: skip
        return outputs[name].ravel()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> "Ranker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _transport(address: str, name: str, version: int | None) -> _Transport:
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise InvalidRequest(
            f"`address` must be grpc://HOST:PORT, http://HOST:PORT or HOST:PORT. Received: {address!r}"
        )
    if found["scheme"] in ("http", "https"):
        from serving.client.rest import RestTransport

        return RestTransport(f"{found['scheme']}://{found['host']}:{found['port']}", name, version)
    try:
        from serving.client.grpc_transport import GrpcTransport
    except ImportError as error:
        raise InvalidRequest(
            f"gRPC needs tensorflow-serving-api and grpcio: `pip install tf_interformer[serving]`, or give an http "
            f"address. Received: {address!r} ({error})"
        ) from None
    return GrpcTransport(f"{found['host']}:{found['port']}", name, version)
