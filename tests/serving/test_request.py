import json
import math

import numpy as np
import pytest

from serving.request import RequestError, parse_columns, parse_request
from tests.small_log import learned_schema, raw_batch
from tf_interformer.export.request import to_request
from tf_interformer.preprocessing import Preprocessor

SCHEMA = learned_schema()


def test_round_trip():
    raw = raw_batch(8)
    parsed = parse_request(SCHEMA, to_request(SCHEMA, raw))
    assert "click" not in parsed
    encode = Preprocessor(SCHEMA)
    for name, value in encode(raw).items():
        np.testing.assert_allclose(value, encode(parsed)[name], rtol=1e-6)
    assert math.isnan(raw["price"][-1])
    assert math.isnan(parsed["price"][-1])


def test_lists_of_different_lengths_are_padded():
    body = json.loads(to_request(SCHEMA, raw_batch(2)))
    body["instances"][0] |= {"viewed_item": ["item_1"], "viewed_tag": [100], "viewed_length": 1, "tags": []}
    parsed = parse_request(SCHEMA, json.dumps(body))
    assert parsed["viewed_item"].shape == (2, 6)
    assert parsed["viewed_item"][0].tolist() == ["item_1", "", "", "", "", ""]
    assert parsed["tags"][0].tolist() == [-1, -1, -1]


def broken(**changes):
    body = json.loads(to_request(SCHEMA, raw_batch(2)))
    body["instances"][1] |= changes
    return json.dumps(body)


WRONG = {
    "no JSON": ("<html>", "the request is not JSON"),
    "no instances": ('{"rows": []}', "must be .*instances"),
    "empty": ('{"instances": []}', "at least one instance"),
    "row is no object": ('{"instances": [3]}', "instance 0 must be an object. Received: 3"),
    "missing column": ('{"instances": [{"item": "a"}]}', r"instance 0: missing columns \['age'"),
    "unknown column": (broken(colour="red"), r"instance 1: .*unknown columns \['colour'\]"),
    "number for string": (broken(item=3), "instance 1: 'item' must hold a string. Received: 3"),
    "string for integer": (broken(user="ann"), "instance 1: 'user' must hold an integer. Received: 'ann'"),
    "boolean for integer": (broken(user=True), "'user' must hold an integer. Received: True"),
    "integer too large": (broken(user=2**70), "'user' must hold an integer"),
    "string for number": (broken(age="old"), "'age' must hold a number. Received: 'old'"),
    "scalar for list": (broken(viewed_item="a"), "'viewed_item' must be a list. Received: 'a'"),
    "length beyond the events": (broken(viewed_length=7), "instance 1: 'viewed_length' exceeds the 6 events in"),
    "length beyond its own events": (
        broken(viewed_item=["a"], viewed_tag=[1], viewed_length=2),
        "instance 1: 'viewed_length' exceeds the 1 events in 'viewed_item'. Received: 2",
    ),
    "length too large": (broken(viewed_length=2**31), "'viewed_length' must hold an integer"),
    "NaN": (broken(user=math.nan), "'user' must hold an integer. Received: nan"),
    "infinity": (broken(age=math.inf), "'age' must hold a number. Received: inf"),
    "too large for float32": (broken(age=1e39), "'age' must hold a number. Received: 1e\\+39"),
    "no unicode": (broken(item="\ud800"), "'item' must hold a string"),
    "no base64": (broken(item={"b64": "%"}), "'item' must hold a string"),
    "nested too deeply": ("[" * 100_000, "nested too deeply"),
    "wrong event": (broken(viewed_tag=["x"]), "'viewed_tag' must hold an integer. Received: 'x'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_malformed_request_names_instance_and_field(case):
    text, message = WRONG[case]
    with pytest.raises(RequestError, match=message):
        parse_request(SCHEMA, text)


def test_the_most_recent_events_of_a_long_history_are_written():
    raw = raw_batch(2) | {"viewed_length": np.array([9, 0], np.int32)}
    raw["viewed_item"] = np.array([[f"item_{step}" for step in range(10)]] * 2, object)
    raw["viewed_tag"] = np.arange(100, 120).reshape(2, 10)
    parsed = parse_request(SCHEMA, to_request(SCHEMA, raw))
    assert parsed["viewed_item"].tolist() == [[f"item_{step}" for step in range(3, 9)], [""] * 6]
    assert parsed["viewed_length"].tolist() == [6, 0]
    encode = Preprocessor(SCHEMA)
    for name, value in encode(raw).items():
        np.testing.assert_allclose(value, encode(parsed)[name], rtol=1e-6)


def test_strings_as_bytes():
    assert parse_request(SCHEMA, broken(item={"b64": "aXRlbV8x"}))["item"][1] == b"item_1"


def test_columns():
    rows = json.loads(to_request(SCHEMA, raw_batch(3)))["instances"]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for name, value in parse_request(SCHEMA, json.dumps({"instances": rows})).items():
        np.testing.assert_array_equal(parse_columns(SCHEMA.served_columns, columns)[name], value)
    for changes, message in (({"age": 3}, "'age' must hold a list"), ({"x": [1]}, r"unknown columns \['x'\]")):
        with pytest.raises(RequestError, match=message):
            parse_columns(SCHEMA.served_columns, columns | changes)
