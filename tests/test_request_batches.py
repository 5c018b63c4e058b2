"""Batches of requests, in which a user has one row whatever the candidates: the same numbers as by rows."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layer_case import assert_close
from tests.small_log import matching_schema, raw_batch
from tests.test_score_candidates import BACKBONES, CANDIDATE, TASKS, schema
from tf_interformer._keras import keras
from tf_interformer.preprocessing import ROW_COLUMN
from tf_interformer.ranker import Ranker

# Users without a candidate, with one, and with several.
ROW = np.array([0, 0, 1, 2, 2, 2, 3, 3, 3, 3, 5, 5], "int32")
FORMS = {**BACKBONES, "memonet": ("memonet", {"codebook_size": 50})}


def both_forms():
    """A raw batch of twelve candidates of six users, and the same as rows."""
    candidates, users = raw_batch(12, 3, TASKS), raw_batch(6, 9, TASKS)
    theirs = {name: value for name, value in candidates.items() if name in (*CANDIDATE, *TASKS)}
    others = {name: value for name, value in users.items() if name not in theirs}
    requests = {**others, **theirs, ROW_COLUMN: ROW}
    return requests, {**{name: value[ROW] for name, value in others.items()}, **theirs}


def make(form, made):
    keras.utils.set_random_seed(4)
    name, config = FORMS[form]
    beside = {"tower_units": (8,), "tower_numbers": True, "linear_terms": 3.0}
    return Ranker(made, name, config, embedding={"dim": 8, "stddev": 0.5, "l2": 1e-3}, **beside)


def gradients(ranker, encoded):
    with tf.GradientTape() as tape:
        logits = ranker(encoded, training=True)
        loss = tf.add_n([tf.reduce_sum(value**2) for value in logits.values()])
    found = tape.gradient(loss, [v if not hasattr(v, "value") or callable(v.value) else v.value
                                 for v in ranker.trainable_variables])  # fmt: skip
    return logits, [tf.convert_to_tensor(gradient) for gradient in found if gradient is not None]


@pytest.mark.parametrize("match", [False, True], ids=["", "match"])
@pytest.mark.parametrize("form", FORMS)
def test_scores_and_gradients_are_those_of_rows(form, match):
    ranker = make(form, matching_schema(TASKS) if match else schema())
    requests, rows = (ranker.preprocessor(raw) for raw in both_forms())
    assert {value.shape[0] for value in requests.values()} == {6, 12}
    made, by_requests = gradients(ranker, requests)
    expected, by_rows = gradients(ranker, rows)
    assert_close(made, expected, 1e-5)
    assert_close(by_requests, by_rows, 1e-4)
    assert np.ptp(expected["click"]) > 1e-3


@pytest.mark.parametrize("match", [False, True], ids=["", "match"])
def test_users_are_computed_once(match):
    ranker = make("request", matching_schema(TASKS) if match else schema())
    tokens = ranker.tokens(ranker.preprocessor(both_forms()[0]))
    state = ranker.backbone.user_side(tokens)
    assert {value.shape[0] for value in state.values()} == {6}
    apart = ranker.backbone.candidate_side(tokens, state, tokens["row"])
    assert_close(apart, ranker.backbone(tokens))


def test_nothing_of_the_candidate_reaches_the_users_side():
    ranker = make("request", matching_schema(TASKS))
    _, rows = both_forms()
    before = ranker.backbone.user_side(ranker.tokens(ranker.preprocessor(rows)))
    changed = {name: value[::-1] if name in CANDIDATE else value for name, value in rows.items()}
    after = ranker.backbone.user_side(ranker.tokens(ranker.preprocessor(changed)))
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name], err_msg=name)


def test_fit_takes_requests():
    losses = []
    for form in range(2):
        ranker = make("request", matching_schema(TASKS))
        ranker.compile("sgd", jit_compile=False)
        raw = both_forms()[form]
        batch = ranker.preprocessor(raw), ranker.preprocessor.labels(raw)
        data = tf.data.Dataset.from_tensors(batch).repeat(2)
        losses.append(ranker.fit(data, epochs=2, verbose=0, shuffle=False).history["loss"])
        assert ranker.evaluate(data, verbose=0, return_dict=True)["loss"] < losses[-1][0]
        assert ranker.predict(data, verbose=0)["click"].shape == (24, 1)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_a_batch_in_arrays_is_one_batch():
    ranker = make("request", schema())
    ranker.compile("sgd", jit_compile=False)
    raw, rows = both_forms()
    encoded, labels = (tf.nest.map_structure(np.asarray, part) for part in ranker.preprocessor.training_batch(raw))
    scores = ranker.predict(encoded, verbose=0)["click"]
    np.testing.assert_allclose(
        scores, ranker.predict(ranker.preprocessor(rows), verbose=0)["click"], rtol=1e-4, atol=1e-5
    )
    before = ranker.evaluate(encoded, labels, verbose=0, return_dict=True)["loss"]
    half = np.full(12, 0.5, "float32")
    weighted = ranker.evaluate(encoded, labels, sample_weight=half, verbose=0, return_dict=True)["loss"]
    assert weighted < 0.7 * before
    assert ranker.fit(encoded, labels, epochs=2, verbose=0).history["loss"][-1] < before
