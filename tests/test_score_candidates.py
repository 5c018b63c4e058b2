"""Items ranked for one user: the same scores as that many rows, with the user's part computed once."""

import numpy as np
import pytest
import tensorflow as tf

from tests.small_log import learned_schema, matching_schema, raw_batch
from tf_interformer._keras import keras, ops, register
from tf_interformer.backbones import Backbone
from tf_interformer.layers._common import rows_of
from tf_interformer.preprocessing import ROW_COLUMN, Preprocessor
from tf_interformer.ranker import Ranker
from tf_interformer.schema import FeatureSchema, SchemaError

CANDIDATE = ("item", "tags", "price")
TASKS = ("click", "buy")
TINY = {"num_layers": 1, "information_flow": "both", "interaction": "dot", "num_heads": 2}
BACKBONES = {
    "interformer": ("interformer", TINY),
    "sole": ("interformer", {**TINY, "information_flow": "sole"}),
    "faithful": ("interformer", {**TINY, "faithful": True}),
    "request": ("interformer", {**TINY, "candidate_flow": "request"}),
    "din": ("din", {}),
    "dien": ("dien", {}),
    "onetrans": ("onetrans", {"num_heads": 2, "pyramid": [2]}),
    "longer": ("longer", {"num_heads": 2, "num_merged_events": 2}),
    "hiformer": ("hiformer", {"num_layers": 1, "num_heads": 2}),
    "dual enhanced attention": ("dual_enhanced_attention", {"num_layers": 1, "num_heads": 2}),
}


def schema(**changes):
    return FeatureSchema.from_config({**learned_schema(TASKS).get_config(), "candidate": CANDIDATE, **changes})


def make(backbone="interformer", made=None, **options):
    keras.utils.set_random_seed(4)
    name, config = BACKBONES[backbone]
    # Rows far from zero, so that every column matters.
    embedding = {"dim": 8, "stddev": 0.5, **options.pop("embedding", {})}
    made = made or schema()
    return Ranker(made, name, config, embedding=embedding, tower_units=(8,), **options)


def request(count=9, row=5, seed=3):
    """One user's columns, the items' columns, and the same as rows."""
    raw = raw_batch(max(count, row + 1), seed, TASKS)
    raw = {name: value for name, value in raw.items() if name not in TASKS}
    user = {name: value[row : row + 1] for name, value in raw.items() if name not in CANDIDATE}
    items = {name: raw[name][:count] for name in CANDIDATE}
    return user, items, {**{name: np.repeat(value, count, axis=0) for name, value in user.items()}, **items}


@pytest.fixture(scope="module")
def ranker():
    return make()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_equals_independent_rows(backbone):
    ranker = make(backbone)
    user, items, rows = request()
    found, expected = ranker.score_candidates(user, items), ranker.score(rows)
    for task in TASKS:
        assert found[task].shape == (9,)
        np.testing.assert_allclose(found[task], expected[task], atol=1e-5)
    assert np.ptp(expected["click"]) > 1e-4


@pytest.mark.parametrize("backbone", ["interformer", "sole", "din", "request"])
def test_histories_that_know_the_candidate(backbone):
    """With `match` the events differ between the candidates of one user."""
    ranker = make(backbone, matching_schema(TASKS))
    user, items, rows = request()
    user["viewed_item"][:, :3] = items["item"][:3]
    user["viewed_length"][:] = 5
    rows |= {name: np.repeat(user[name], 9, axis=0) for name in ("viewed_item", "viewed_length")}
    found, expected = ranker.score_candidates(user, items), ranker.score(rows)
    for task in TASKS:
        np.testing.assert_allclose(found[task], expected[task], atol=1e-5)


@pytest.mark.parametrize("argument", [{"tower_numbers": True}, {"linear_terms": 10.0}], ids=str)
def test_what_stands_beside_the_backbone(argument):
    ranker = make(**argument)
    user, items, rows = request()
    np.testing.assert_allclose(ranker.score_candidates(user, items)["buy"], ranker.score(rows)["buy"], atol=1e-5)


@pytest.mark.parametrize("count, row", [(1, 0), (4, 1)])
def test_one_item_and_empty_histories(ranker, count, row):
    user, items, rows = request(count, row)
    np.testing.assert_allclose(ranker.score_candidates(user, items)["buy"], ranker.score(rows)["buy"], atol=1e-5)


def test_what_is_shared_is_computed_for_one_row(ranker, monkeypatch):
    seen = []
    plain = type(ranker.backbone).user_side

    def spy(self, tokens, training=None):
        state = plain(self, tokens, training)
        seen.extend(int(value.shape[0]) for value in tf.nest.flatten(state))
        return state

    monkeypatch.setattr(type(ranker.backbone), "user_side", spy)
    user, items, _ = request()
    ranker.served.candidate_logits(user | items)  # eagerly: a graph may have been traced before
    assert set(seen) == {1}


@register
class Lengths(Backbone):
    """Shares nothing: it meets the sequences as they are, a row for each item."""

    def candidate_side(self, tokens, state, row=None, training=None):
        state = rows_of(state, row)
        lengths = ops.cast(state["lengths_1"], "float32")
        events = ops.sum(state["sequence_1"], axis=(1, 2))
        features = ops.sum(tokens["features"], axis=1)
        return self.for_each_task(features * ops.expand_dims(lengths + events, 1))

    def representation_size(self, input_shape):
        return input_shape["features"][-1]


def test_a_backbone_that_shares_nothing():
    ranker = Ranker(schema(), Lengths(tasks=TASKS), embedding={"dim": 8, "stddev": 0.5}, tower_units=(8,))
    user, items, rows = request()
    np.testing.assert_allclose(ranker.score_candidates(user, items)["click"], ranker.score(rows)["click"], atol=1e-5)


def test_everything_but_one_column_is_served_as_something():
    config = schema().get_config()
    for feature in config["features"]:
        if feature["name"] == "age":
            feature["serve_as"] = 33.0
    made = FeatureSchema.from_config(config)
    # In the order of the signature a candidate's column comes first.
    assert next(iter(made.signature())) in CANDIDATE
    ranker = make(made=made)
    user, items, rows = request()
    np.testing.assert_allclose(ranker.score_candidates(user, items)["click"], ranker.score(rows)["click"], atol=1e-5)


def test_half_precision_and_narrow_tables(tmp_path):
    ranker = make(dtype="mixed_bfloat16", embedding={"table_dtype": "float16"})
    user, items, rows = request()
    found, expected = ranker.score_candidates(user, items), ranker.score(rows)
    np.testing.assert_allclose(found["click"], expected["click"], atol=2e-2)
    ranker.save(str(tmp_path / "model.keras"))
    loaded = Ranker.from_file(tmp_path / "model.keras")
    assert {weight.dtype for weight in loaded.embedder._tables.values()} <= {"float16", tf.float16}
    np.testing.assert_allclose(loaded.score(rows)["click"], expected["click"], atol=1e-5)


def test_a_schema_without_candidates(ranker):
    plain = schema(candidate=())
    assert FeatureSchema.from_json(schema().to_json()) == schema()
    config = plain.get_config()
    del config["candidate"]  # as files have it that were written before
    assert FeatureSchema.from_config(config) == plain
    assert plain.candidate_signature()["item"].shape == [1]
    user, items, _ = request()
    with pytest.raises(SchemaError, match=r"schema 'small' does not say which features describe the candidates: give"):
        make(made=plain).score_candidates(user, items)


def test_signature_of_candidates():
    signature = schema().candidate_signature()
    assert set(signature) == set(schema().signature())
    shapes = {name: spec.shape.as_list() for name, spec in signature.items()}
    assert shapes["item"] == [None] and shapes["tags"] == [None, None] and shapes["price"] == [None]
    assert shapes["user"] == [1] and shapes["viewed_item"] == [1, None] and shapes["viewed_length"] == [1]


WRONG = {
    "no user column": (lambda user, items: user.pop("age"), r"`user` lacks the column 'age'. Received: "),
    "no item column": (lambda user, items: items.pop("price"), r"`items` lacks the column 'price'. Received: item, t"),
    "two users": (lambda user, items: user.update(age=np.zeros(2)), r"`user` must hold one row. Received: 2 .*'age'"),
    "uneven": (
        lambda user, items: items.update(price=np.zeros(4)),
        r"`items` must have the same number of rows, at least one. Received: 9 of 'item', 4 of 'price'",
    ),
    "no item": (lambda user, items: items.update(item=np.array([], object)), r"Received: 0 of 'item', 0 of 'item'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_names_the_column(ranker, case):
    change, message = WRONG[case]
    user, items, _ = request()
    change(user, items)
    with pytest.raises(SchemaError, match=message):
        ranker.score_candidates(user, items)


@pytest.mark.parametrize(
    "names, message",
    [
        (["price", "colour"], r"FeatureSchema 'small': `candidate` must name features, which are \[.*colour"),
        (["viewed_item"], r"`candidate` must name features"),
        (["price", "price"], r"`candidate` must name each feature once. Received: \['price', 'price'\]"),
    ],
)
def test_wrong_candidates(names, message):
    with pytest.raises(SchemaError, match=message):
        schema(candidate=names)


def place_known_when_logged(made):
    """The schema with a feature of the candidate, and one of the user, that are served as something."""
    config = made.get_config()
    for feature in config["features"]:
        feature |= {"price": {"serve_as": 1.0}, "age": {"serve_as": 33.0}}.get(feature["name"], {})
    return FeatureSchema.from_config(config)


@pytest.mark.parametrize("backbone, match", [("interformer", True), ("request", True), ("din", False)])
def test_a_candidates_feature_may_be_served_as_something(backbone, match):
    made = place_known_when_logged(matching_schema(TASKS) if match else schema())
    assert made.candidate == CANDIDATE and made.served_candidate == ("item", "tags")
    assert (
        made.candidate_signature().keys()
        == made.signature().keys()
        == schema().signature().keys()
        - {
            "price",
            "age",
        }
    )
    ranker = make(backbone, made)
    user, items, rows = request()
    del items["price"], user["age"]
    found, expected = ranker.score_candidates(user, items), ranker.score(rows)
    np.testing.assert_allclose(found["click"], expected["click"], atol=1e-5)
    rows["price"][:] = 1.0  # what it is served as; what was logged counts for nothing
    rows["age"][:] = 33.0
    logits = ranker(ranker.preprocessor(rows), training=False)["click"]
    np.testing.assert_allclose(tf.sigmoid(logits)[:, 0], expected["click"], atol=1e-5)


@pytest.mark.parametrize("row", [[0, 0, 1], [0, 0, 0]])
def test_requests_as_they_are_served(row):
    encode = Preprocessor(place_known_when_logged(schema()))
    users, items = raw_batch(2, 1), raw_batch(3, 2)
    raw = {name: (items if name in CANDIDATE else users)[name] for name in encode.schema.signature()}
    encoded = encode({**raw, ROW_COLUMN: np.array(row)}, serving=True)
    assert encoded["price"].shape == (3,) and encoded["age"].shape == (2,) and encoded[ROW_COLUMN].shape == (3,)


def test_where_nothing_is_asked_of_the_candidates():
    config = schema().get_config() | {"candidate": ["price"]}
    made = place_known_when_logged(FeatureSchema.from_config(config))
    assert made.served_candidate == ()
    user, _, _ = request()
    with pytest.raises(SchemaError, match="does not say which features describe the candidates"):
        make("din", made).score_candidates(user, {})
