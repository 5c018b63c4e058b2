import json
import math

import numpy as np
import pytest

from serving.request import RequestError, parse_request, to_request
from tests.small_log import learned_schema, raw_batch
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
    "string for integer": (broken(user="ann"), "instance 1: 'user' must hold a integer. Received: 'ann'"),
    "boolean for integer": (broken(user=True), "'user' must hold a integer. Received: True"),
    "integer too large": (broken(user=2**70), "'user' must hold a integer"),
    "string for number": (broken(age="old"), "'age' must hold a number. Received: 'old'"),
    "scalar for list": (broken(viewed_item="a"), "'viewed_item' must be a list. Received: 'a'"),
    "wrong event": (broken(viewed_tag=["x"]), "'viewed_tag' must hold a integer. Received: 'x'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_malformed_request_names_instance_and_field(case):
    text, message = WRONG[case]
    with pytest.raises(RequestError, match=message):
        parse_request(SCHEMA, text)
