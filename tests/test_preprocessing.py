import numpy as np
import pytest
import tensorflow as tf

from tests.small_log import declared_schema, learned_schema, raw_batch
from tf_interformer.preprocessing import Preprocessor
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, SchemaError, Sequence


def preprocessor_of(*features, sequences=()):
    return Preprocessor(FeatureSchema(features=features, sequences=sequences, labels=[Label("y", mean=0.5)]))


def test_ids_of_strings_and_integers():
    encode = preprocessor_of(
        Categorical("word", vocabulary=["b", "a"]), Categorical("number", dtype="int64", vocabulary=[0, 7])
    )
    encoded = encode({"word": np.array(["a", "b", "", "?"], object), "number": np.array([7, 0, -1, 5])})
    assert encoded["word"].numpy().tolist() == [3, 2, 0, 1]
    assert encoded["number"].numpy().tolist() == [3, 2, 0, 1]
    assert encoded["word"].dtype == tf.int32


def test_hash_is_the_same_for_a_number_and_its_text_and_keeps_the_reserved_ids():
    encode = preprocessor_of(
        Categorical("word", hash_buckets=50), Categorical("number", dtype="int64", hash_buckets=50)
    )
    numbers = np.arange(1000)
    encoded = encode({"word": numbers.astype(str).astype(object), "number": numbers})
    np.testing.assert_array_equal(encoded["word"], encoded["number"])
    assert set(np.unique(encoded["word"])) == set(range(2, 52))
    missing = encode({"word": np.array([""], object), "number": np.array([-1])})
    assert (missing["word"].numpy()[0], missing["number"].numpy()[0]) == (0, 0)


def test_hash_is_stable_across_processes_and_versions():
    encode = preprocessor_of(Categorical("word", hash_buckets=1000))
    assert encode({"word": np.array(["user_1", "user_2"], object)})["word"].numpy().tolist() == [800, 408]


def test_multi_valued_is_cut_and_padded():
    encode = preprocessor_of(Categorical("tags", dtype="int64", vocabulary=[5, 6], max_values=2))
    assert encode({"tags": np.array([[5, 6, 5]])})["tags"].numpy().tolist() == [[2, 3]]
    assert encode({"tags": np.array([[6]])})["tags"].numpy().tolist() == [[3, 0]]
    assert encode({"tags": np.empty((1, 0), np.int64)})["tags"].numpy().tolist() == [[0, 0]]


def test_numeric_transforms():
    encode = preprocessor_of(
        Numeric("plain", mean=2.0, std=4.0),
        Numeric("logged", transform="log", mean=1.0, std=2.0),
        Numeric("raw", transform="none", mean=9.0, std=1.0),
        Numeric("cut", buckets=3, boundaries=[1.0, 5.0], mean=0.0, std=1.0),
    )
    values = np.array([6.0, -1.0, np.nan], np.float32)
    encoded = encode(dict.fromkeys(("plain", "logged", "raw", "cut"), values))
    np.testing.assert_allclose(encoded["plain"], [1.0, -0.75, 0.0])
    np.testing.assert_allclose(encoded["logged"], [(np.log(7) - 1) / 2, (-np.log(2) - 1) / 2, 0.0], rtol=1e-6)
    np.testing.assert_allclose(encoded["raw"], [6.0, -1.0, 9.0])
    assert encoded["cut_bucket"].numpy().tolist() == [4, 2, 0]
    on_the_boundary = encode({name: np.array([1.0, 5.0]) for name in ("plain", "logged", "raw", "cut")})
    assert on_the_boundary["cut_bucket"].numpy().tolist() == [3, 4]


def test_buckets_agree_with_the_learned_quantiles():
    schema = learned_schema()
    values = np.sort(raw_batch(64, seed=1)["price"])
    buckets = Preprocessor(schema)({**raw_batch(64, seed=1), "price": values})["price_bucket"].numpy()
    expected = np.where(np.isnan(values), 0, 2 + np.searchsorted(schema["price"].boundaries, values, side="right"))
    np.testing.assert_array_equal(buckets, expected)


HISTORY = Sequence("seen", fields=[Categorical("item", vocabulary=["a", "b", "c", "d"])], max_length=3)


@pytest.mark.parametrize(
    ("events", "length", "ids", "kept"),
    [
        (["a", "b", "c", "d"], 4, [3, 4, 5], 3),  # longer than the limit: the most recent ones
        (["a", "b", "c", "d"], 3, [2, 3, 4], 3),
        (["a", "b", "c", "d"], 1, [2, 0, 0], 1),  # what lies behind the length is padding, whatever it holds
        (["a", "b", "c", "d"], 0, [0, 0, 0], 0),
        (["b"], 1, [3, 0, 0], 1),
        ([], 0, [0, 0, 0], 0),
    ],
)
def test_histories(events, length, ids, kept):
    encode = preprocessor_of(Categorical("x", vocabulary=["x"]), sequences=[HISTORY])
    raw = {"x": np.array(["x"], object), "seen_item": np.array([events], object).reshape(1, -1)}
    if not events:
        raw["seen_item"] = tf.zeros([1, 0], tf.string)
    encoded = encode({**raw, "seen_length": np.array([length])})
    assert encoded["seen_item"].numpy().tolist() == [ids]
    assert encoded["seen_length"].numpy().tolist() == [kept]
    assert encoded["seen_item"].shape == (1, 3)


@pytest.mark.parametrize(("length", "message"), [(3, "exceeds the events in seen_item"), (-1, "is negative")])
def test_a_length_out_of_range_is_an_error(length, message):
    encode = preprocessor_of(Categorical("x", vocabulary=["x"]), sequences=[HISTORY])
    raw = {"x": np.array(["x"], object), "seen_item": np.array([["a", "b"]], object)}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        tf.function(encode)({name: tf.constant(v) for name, v in raw.items()} | {"seen_length": tf.constant([length])})


def test_eager_graph_and_dataset_agree():
    encode = Preprocessor(learned_schema())
    raw = {name: tf.constant(value) for name, value in raw_batch().items()}
    eager = encode(raw)
    in_graph = tf.function(encode)(raw)
    in_dataset = next(iter(tf.data.Dataset.from_tensors(raw).map(encode)))
    for name, value in eager.items():
        # A compiler may fold the two steps of a standardisation into one: the last bit of a float may differ.
        np.testing.assert_allclose(value, in_graph[name], rtol=1e-6)
        np.testing.assert_allclose(value, in_dataset[name], rtol=1e-6)


def test_labels():
    encode = Preprocessor(learned_schema())
    assert encode.labels(raw_batch())["click"].shape == (32, 1)
    with pytest.raises(SchemaError, match="label columns \\['click'\\] are missing"):
        encode.labels({"item": [1]})
    assert encode.weights(raw_batch()).numpy().tolist() == [1.0] * 32
    with pytest.raises(SchemaError, match="column 'click' is missing"):
        encode.weights({"item": [1]})


WRONG = {
    "missing": (lambda raw: raw.pop("age"), "column 'age' is missing. Received: "),
    "missing length": (lambda raw: raw.pop("viewed_length"), "column 'viewed_length' .* is missing"),
    "string for number": (
        lambda raw: raw.update(age=np.array(["x"] * 32)),
        "column 'age' must hold numbers. Received: 'x'",
    ),
    "fraction for id": (
        lambda raw: raw.update(user=np.full(32, 1.5)),
        "column 'user' must hold integers. Received: 1.5",
    ),
    "id for string": (lambda raw: raw.update(item=np.arange(32)), "column 'item' must hold strings. Received: 0"),
    "rank": (lambda raw: raw.update(tags=np.arange(32)), "column 'tags' must hold a list in each row. Received: 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_batch_names_the_column(case):
    change, message = WRONG[case]
    raw = raw_batch()
    change(raw)
    with pytest.raises(SchemaError, match=message):
        Preprocessor(learned_schema())(raw)


def test_needs_a_learned_schema():
    with pytest.raises(SchemaError, match=r"schema 'small' has no vocabularies and statistics yet: call"):
        Preprocessor(declared_schema())
