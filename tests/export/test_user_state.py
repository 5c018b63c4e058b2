"""A user's state: exported, kept in a cache, and taken in place of the user's side."""

import numpy as np
import pytest
import tensorflow as tf

from tests.small_log import matching_schema
from tests.test_score_candidates import TASKS, make, request
from tf_interformer._names import safe_name
from tf_interformer.export import export_saved_model
from tf_interformer.schema import SchemaError

FORMS = {
    "request": ("request", False),
    "match": ("request", True),
    "dien": ("dien", False),
    "onetrans": ("onetrans", False),
}


@pytest.fixture(scope="module")
def rankers():
    return {name: make(form, matching_schema(TASKS) if match else None) for name, (form, match) in FORMS.items()}


def user_and_items(seed=3):
    user, items, _ = request(seed=seed)
    return user, items


@pytest.mark.parametrize("form", FORMS)
def test_scores_from_a_state_are_the_same(rankers, form):
    ranker = rankers[form]
    user, items = user_and_items()
    state = ranker.embed_user(user)
    assert all(value.shape[0] == 1 and value.dtype.kind in "fi" for value in state.values())
    expected = ranker.score_candidates(user, items)
    found = ranker.score_candidates(user, items, state)
    for task in TASKS:
        np.testing.assert_allclose(found[task], expected[task], atol=1e-6)
    # It is the state that counts, not the history that comes with it.
    other = ranker.score_candidates(user, items, ranker.embed_user(user_and_items(seed=8)[0]))
    assert np.abs(other["click"] - expected["click"]).max() > 1e-4


def test_states_of_several_users_are_those_of_each(rankers):
    users = [user_and_items(seed)[0] for seed in (3, 8)]
    together = rankers["request"].embed_user({name: np.concatenate([u[name] for u in users]) for name in users[0]})
    for row, user in enumerate(users):
        for name, value in rankers["request"].embed_user(user).items():
            np.testing.assert_allclose(together[name][row : row + 1], value, atol=1e-5)


@pytest.fixture(scope="module")
def exported(rankers, tmp_path_factory):
    folder = export_saved_model(rankers["match"], tmp_path_factory.mktemp("models") / "clicks")
    return tf.saved_model.load(str(folder)).signatures


def test_exported(rankers, exported):
    user, items = user_and_items()
    expected = rankers["match"].score_candidates(user, items)
    state = call(exported["embed_user"], user)
    assert set(state) == {*rankers["match"].served.state_signature, "user_state/model"}
    found = call(exported["score_known_user"], {**user, **items, **state})
    for task in TASKS:
        np.testing.assert_allclose(found[f"{task}_probability"][:, 0], expected[task], atol=1e-5)


def call(signature, columns):
    """By the names that a server knows; a function of Python has others where these are no names of Python."""
    return signature(**{safe_name(name): tf.constant(value) for name, value in columns.items()})


def test_a_state_of_another_model_is_refused(rankers, exported):
    user, items = user_and_items()
    state = call(exported["embed_user"], user)
    state["user_state/model"] += 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="made by another model, or another version"):
        call(exported["score_known_user"], {**user, **items, **state})


def test_what_is_no_state_is_named(rankers):
    user, items = user_and_items()
    ranker = rankers["request"]
    state = ranker.embed_user(user)
    with pytest.raises(SchemaError, match="must hold what `embed_user` gives"):
        ranker.score_candidates(user, items, {})
    with pytest.raises(SchemaError, match=r"must be that of one user.*'user_state/lengths' of shape \(1,\)"):
        ranker.score_candidates(user, items, {**state, "user_state/lengths": np.zeros(2, "int32")})
    with pytest.raises(SchemaError, match="`user` lacks the column 'viewed_length'"):
        ranker.embed_user({name: value for name, value in user.items() if name != "viewed_length"})


def test_histories_that_hold_the_candidate_have_no_state():
    ranker = make("din", matching_schema(TASKS))
    with pytest.raises(SchemaError, match="no state of a user"):
        ranker.embed_user(user_and_items()[0])


@pytest.mark.parametrize("form", ["request", "dien", "onetrans"])
def test_half_precision(form):
    ranker = make(form, dtype="mixed_bfloat16")
    user, items = user_and_items()
    found = ranker.score_candidates(user, items, ranker.embed_user(user))
    np.testing.assert_allclose(found["click"], ranker.score_candidates(user, items)["click"], atol=2e-2)
