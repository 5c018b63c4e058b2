"""A user's state through the server: asked for once, and sent back with the candidates."""

import json

import grpc
import numpy as np
import pytest
import tensorflow as tf

from tests.serving.running_server import running
from tests.test_score_candidates import TASKS, make, request
from tf_interformer.export import export_saved_model


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = export_saved_model(make("request"), tmp_path_factory.mktemp("models") / "clicks").parent
    with running(base) as client:
        yield client


def arrays(response):
    return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}


def probabilities(outputs):
    return {task: np.array(outputs[f"{task}_probability"])[:, 0] for task in TASKS}


def agree(found, expected):
    for task in TASKS:
        np.testing.assert_allclose(found[task], expected[task], rtol=1e-5, atol=1e-6)


def plain(columns):
    """As JSON holds them: a history is as long as it is, and what is missing is null."""
    lists = {name: [None if value != value else value for value in values.tolist()] if values.ndim == 1
             else values.tolist() for name, values in columns.items()}  # fmt: skip
    for name in lists:
        if (length := f"{name.partition('_')[0]}_length") in lists and name != length:
            lists[name] = [row[:count] for row, count in zip(lists[name], lists[length], strict=True)]
    return lists


def test_over_grpc(server):
    user, items, _ = request()
    expected = probabilities(arrays(server.predict("score_candidates", {**user, **items})))
    state = arrays(server.predict("embed_user", user))
    agree(probabilities(arrays(server.predict("score_known_user", {**user, **items, **state}))), expected)
    # It is the state that counts, not the history that comes with it.
    other, _, _ = request(seed=8)
    history = {name: value for name, value in other.items() if name.startswith(("viewed", "bought"))}
    agree(probabilities(arrays(server.predict("score_known_user", {**user, **history, **items, **state}))), expected)
    assert np.ptp(expected["click"]) > 1e-4


@pytest.mark.parametrize("form", ["inputs", "instances"])
def test_over_rest(server, form):
    user, items, _ = request()
    user, items = plain(user), plain(items)
    ask = {"signature_name": "score_candidates", "inputs": {**user, **items}}
    expected = probabilities(server.post(ask).raise_for_status().json()["outputs"])
    if form == "inputs":
        answer = server.post({"signature_name": "embed_user", "inputs": user}).raise_for_status()
        state = answer.json()["outputs"]
    else:
        rows = [{name: values[0] for name, values in user.items()}]
        answer = server.post({"signature_name": "embed_user", "instances": rows}).raise_for_status()
        (only,) = answer.json()["predictions"]
        state = {name: [value] for name, value in only.items()}
    ask = {"signature_name": "score_known_user", "inputs": {**user, **items, **state}}
    agree(probabilities(server.post(json.loads(json.dumps(ask))).raise_for_status().json()["outputs"]), expected)


def test_states_of_several_users(server):
    """Their histories differ in length."""
    users = [request(seed=seed)[0] for seed in (3, 8)]
    together = arrays(server.predict("embed_user", {n: np.concatenate([u[n] for u in users]) for n in users[0]}))
    rows = [{name: values[0] for name, values in plain(user).items()} for user in users]
    over_rest = server.post({"signature_name": "embed_user", "instances": rows}).raise_for_status().json()
    for row, user in enumerate(users):
        for name, value in arrays(server.predict("embed_user", user)).items():
            np.testing.assert_allclose(together[name][row : row + 1], value, atol=1e-5)
            np.testing.assert_allclose(over_rest["predictions"][row][name], value[0], atol=1e-5)


def test_what_is_wrong_is_refused(server):
    user, items, _ = request()
    state = arrays(server.predict("embed_user", user))
    long = {"viewed_length": np.array([7], np.int32)}
    wide = {name: np.repeat(user[name][:, :1], 7, axis=1) for name in ("viewed_item", "viewed_tag")}
    two = {name: np.concatenate([value, value]) for name, value in state.items()}
    for signature, columns, message in (
        ("embed_user", {**user, **long}, "input 'viewed_length' exceeds the 6 events in 'viewed_"),
        ("embed_user", {**user, **wide}, "input 'viewed_item' may hold at most 6 events in a row. Received: 7"),
        ("embed_user", {**user, **items}, r"unknown inputs \['item', 'price', 'tags'\]"),
        ("score_known_user", {**user, **items, **state, **long}, "input 'viewed_length' exceeds the 6 events"),
        ("score_known_user", {**user, **items}, r"missing inputs \['user_state/"),
        ("score_known_user", {**user, **items, **state, **two}, r"input 'user_state/\w+' must have the shape \[1"),
        ("score_known_user", {**user, **items, **state, "user_state/model": state["user_state/model"] + 1},
         "does not fit the model: assertion failed: .*ask for `embed_user` again"),
    ):  # fmt: skip
        with pytest.raises(grpc.RpcError, match=message) as caught:
            server.predict(signature, columns)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        body = {"signature_name": signature, "inputs": {name: np.asarray(v).tolist() for name, v in columns.items()}}
        assert server.post(body).status_code == 400
