"""The queue, with a model of a few lines of NumPy."""

import asyncio
import threading
import types

import grpc
import numpy as np
import pytest

from serving.server.batching import Batcher, concatenate
from serving.server.errors import ServingError, invalid
from serving.server.validation import Request
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, Sequence

SCHEMA = FeatureSchema(
    features=[Categorical("item")],
    sequences=[Sequence("viewed", fields=[Categorical("item", dtype="int64", missing=-7), Numeric("price")])],
    labels=[Label("click")],
)


def signature(batches=True, name="serving_default"):
    return types.SimpleNamespace(name=name, batches=batches)


class Doubles:
    """The model: it waits until it may go, then doubles; a row of 13 is refused."""

    version, schema = 1, SCHEMA

    def __init__(self):
        self.batches, self.go, self.closed = [], threading.Event(), False

    def run(self, name, inputs):
        assert self.go.wait(20)
        self.batches.append(inputs["x"].tolist())
        if 13 in inputs["x"]:
            raise invalid("no 13")
        return {"y": 2 * inputs["x"]}

    def close(self):
        self.closed = True


ROWS = signature()


def request(*values, of=ROWS):
    return Request(of, {"x": np.array(values)}, len(values))


def ask(requests, deadlines=None, **options):
    """The answers to requests that meet in the queue, and the model; the first one keeps it busy meanwhile."""
    model = Doubles()

    async def meet():
        batcher = Batcher(model, **{"max_batch": 4, "max_queue": 10} | options)
        now = asyncio.get_running_loop().time()
        ends = [now + seconds if seconds is not None else None for seconds in deadlines or [None] * len(requests)]
        calls = [asyncio.ensure_future(batcher.run(r, end)) for r, end in zip(requests, ends, strict=True)]
        await asyncio.sleep(0.1)
        model.go.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        await batcher.close()
        return [a if isinstance(a, Exception) else a["y"].tolist() for a in answers]

    return asyncio.run(meet()), model


def test_what_waits_is_computed_together_up_to_the_limit():
    answers, model = ask([request(1), request(2), request(3, 4), request(5, 6), request(7)])
    assert answers == [[2], [4], [6, 8], [10, 12], [14]]
    assert model.batches == [[1], [2, 3, 4, 7], [5, 6]]
    assert model.closed


def test_a_larger_request_and_other_signatures_go_alone():
    alone = signature(batches=False, name="score_candidates")
    answers, model = ask([request(0), request(1, of=alone), request(2), request(3, of=alone), request(*range(4, 10))])
    assert answers == [[0], [2], [4], [6], list(range(8, 20, 2))]
    assert model.batches == [[0], [1], [2], [3], list(range(4, 10))]


def test_without_batching_every_request_is_computed_by_itself():
    _, model = ask([request(1), request(2), request(3)], max_batch=1, workers=2)
    assert sorted(model.batches) == [[1], [2], [3]]


def test_what_the_model_refuses_fails_alone():
    answers, _ = ask([request(1), request(2), request(13), request(3)])
    refused = answers.pop(2)
    assert answers == [[2], [4], [6]]
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert "no 13" in str(refused)


def test_a_full_queue_refuses():
    answers, model = ask([request(1), request(2), request(3), request(4)], max_queue=2)
    assert answers[:3] == [[2], [4], [6]]
    assert answers[3].code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert model.batches == [[1], [2, 3]]


def test_late_requests_are_not_computed():
    answers, model = ask([request(1), request(2), request(3), request(4)], [None, 0.02, -1.0, 20.0])
    assert [a.code for a in answers[1:3]] == [grpc.StatusCode.DEADLINE_EXCEEDED] * 2
    assert (answers[0], answers[3]) == ([2], [8])
    assert model.batches == [[1], [4]]


def test_narrower_histories_are_padded_with_the_missing_value():
    wide, narrow = np.array([[1, 2, 3]]), np.array([[4], [5]])
    made = [Request(ROWS, {"viewed_item": events}, len(events)) for events in (wide, narrow)]
    together = concatenate(made, SCHEMA)["viewed_item"]
    assert together.tolist() == [[1, 2, 3], [4, -7, -7], [5, -7, -7]]
    numbers = [np.array([[1.0, 2.0]], np.float32), np.array([[3.0]], np.float32)]
    made = [Request(ROWS, {"viewed_price": events}, 1) for events in numbers]
    np.testing.assert_array_equal(concatenate(made, SCHEMA)["viewed_price"], [[1, 2], [3, np.nan]])


def test_long_messages_are_cut():
    assert len(str(ServingError(grpc.StatusCode.INVALID_ARGUMENT, "x" * 10**6))) < 2000
    with pytest.raises(KeyError):
        _ = ServingError(grpc.StatusCode.OK, "").http_status
