"""`Encoder` gives the ids and floats of the `Preprocessor`, without TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path

import farmhash
import numpy as np
import pytest
import tensorflow as tf

from serving.encoder import Encoder, EncoderError
from tests.small_log import ITEMS, TAGS, learned_schema, raw_batch
from tf_interformer.preprocessing import Preprocessor
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, Sequence, Vector

WORDS = ["", "a", "b", "Ünï", "日本", "none", "a\0", "x" * 100]
NUMBERS = [-1, 0, 7, 2**31 + 5, 2**40, -(2**63), 2**63 - 1]


def every_kind():
    return FeatureSchema(
        features=[
            Categorical("word", vocabulary=["b", "日本", "Ünï", "a"]),
            Categorical("hashed", hash_buckets=13, missing="none"),
            Categorical("number", dtype="int64", vocabulary=[2**40, 7, -(2**63)], missing=0),
            Categorical("hashed_number", dtype="int64", hash_buckets=1000),
            Categorical("words", table="hashed", max_values=2, missing="none"),
            Categorical("numbers", dtype="int64", table="number", max_values=3, missing=0),
            Categorical("place", dtype="int64", vocabulary=[1, 2], serve_as=2),
            Numeric("plain", transform="none", mean=0.25, std=1.0),
            Numeric("scaled", mean=3.5, std=2.25, buckets=4, boundaries=[-1.5, 0.1, 3.0]),
            Numeric("logged", transform="log", mean=1.5, std=0.7),
            Numeric("fixed", mean=1.0, std=3.0, serve_as=2.5),
            Vector("image", dim=3),
            Vector("text", dim=2, normalize=False),
        ],
        sequences=[
            Sequence(
                "seen",
                fields=[
                    Categorical("word", table="word"),
                    Categorical("number", dtype="int64", table="number", missing=7),
                    Categorical("other", hash_buckets=5),
                ],
                max_length=4,
                match=["word", "number"],
            ),
            Sequence("one", fields=[Categorical("n", dtype="int64", vocabulary=[7])], max_length=1),
            Sequence("two", fields=[Categorical("word", table="hashed")], max_length=3, match=["word"]),
        ],
        labels=[Label("click", mean=0.1)],
    )


def random_raw(seed):
    random = np.random.default_rng(seed)
    rows, events, values = (int(n) for n in random.integers((1, 0, 0), (9, 9, 6)))

    def words(*size):
        return np.array(WORDS, object)[random.integers(0, len(WORDS), size)]

    def numbers(*size):
        return np.array(NUMBERS)[random.integers(0, len(NUMBERS), size)]

    def floats(*size):
        given = random.choice([0.0, 0.1, -1.5, 3.0, 1e6, -1e30, 1e-30, np.nan, 1.0], size).astype(np.float32)
        return np.where(random.random(size) < 0.5, given, random.normal(size=size).astype(np.float32))

    return {
        "word": words(rows),
        "hashed": words(rows),
        "number": numbers(rows),
        "hashed_number": numbers(rows),
        "words": words(rows, values),
        "numbers": numbers(rows, values),
        "plain": floats(rows),
        "scaled": floats(rows),
        "logged": floats(rows),
        "image": random.choice([0.0, 0.5, -2.0, np.nan], (rows, 3), p=[0.3, 0.3, 0.3, 0.1]).astype(np.float32),
        "text": random.normal(size=(rows, 2)).astype(np.float32),
        "seen_word": words(rows, events),
        "seen_number": numbers(rows, events),
        "seen_other": words(rows, events),
        "seen_length": random.integers(0, events, rows, np.int32, endpoint=True),
        "one_n": numbers(rows, events),
        "one_length": random.integers(0, events, rows, np.int32, endpoint=True),
        "two_word": words(rows, events),
        "two_length": random.integers(0, events, rows, np.int32, endpoint=True),
    }


def as_lists(raw):
    """The same batch as lists, histories cut to their lengths and NaN as None."""
    lists = {name: value.tolist() for name, value in raw.items()}
    for name in ("plain", "scaled", "logged"):
        lists[name] = [None if np.isnan(value) else value for value in raw[name]]
    for name in ("seen_word", "seen_number", "seen_other", "one_n", "two_word"):
        lengths = raw[f"{name.split('_')[0]}_length"]
        lists[name] = [row[:length] for row, length in zip(lists[name], lengths, strict=True)]
    lists["image"] = [None if np.isnan(row).any() else row.tolist() for row in raw["image"]]
    return lists


def assert_equal(encoded, expected):
    assert set(encoded) == set(expected)
    for name, value in expected.items():
        value = value.numpy()
        assert encoded[name].dtype == value.dtype, name
        if value.dtype == np.float32:
            np.testing.assert_allclose(encoded[name], value, rtol=1e-6, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(encoded[name], value, err_msg=name)


def written(schema, folder):
    schema.to_json(folder / "m.schema.json")
    return Encoder(folder / "m.schema.json")


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    schema = every_kind()
    return written(schema, tmp_path_factory.mktemp("every")), Preprocessor(schema)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    schema = learned_schema()
    return written(schema, tmp_path_factory.mktemp("small")), Preprocessor(schema)


@pytest.mark.parametrize("seed", range(40))
def test_equals_the_preprocessor_on_every_kind_of_feature(every, seed):
    encoder, preprocessor = every
    raw = random_raw(seed)
    expected = preprocessor(raw, serving=True)
    assert_equal(encoder.encode(raw), expected)
    assert_equal(encoder.encode(as_lists(raw)), expected)


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_preprocessor_on_a_log(small, seed):
    encoder, preprocessor = small
    raw = raw_batch(16, seed)
    raw["item"][3], raw["viewed_tag"][2, 0] = "never seen", 2**50
    assert_equal(encoder.encode(raw), preprocessor(raw, serving=True))
    assert set(encoder.columns) == set(preprocessor.schema.signature())


def test_takes_what_tensorflow_hands_out(small):
    """Bytes, Keras's trailing axis, NumPy's strings."""
    encoder, preprocessor = small
    raw = raw_batch(4)
    expected = preprocessor(raw, serving=True)
    for column in ("item", "viewed_item", "country"):
        assert_equal(encoder.encode({**raw, column: tf.constant(raw[column]).numpy()}), expected)
        assert_equal(encoder.encode({**raw, column: raw[column].astype(str)}), expected)
    widened = {name: raw[name][:, None] for name in ("item", "user", "price", "viewed_length")}
    assert_equal(encoder.encode(raw | widened), expected)


def test_hash_is_tensorflows():
    random = np.random.default_rng(0)
    texts = [random.bytes(size) for size in range(301)] + ["é" * size for size in range(100)] + WORDS
    expected = tf.strings.to_hash_bucket_fast(texts, 2**62).numpy()
    np.testing.assert_array_equal([farmhash.fingerprint64(text) % 2**62 for text in texts], expected)


WRONG = {
    "absent": (lambda raw: {k: v for k, v in raw.items() if k != "item"}, r"columns \['item'\] are missing"),
    "rows": (lambda raw: raw | {"item": raw["item"][:1]}, "same number of rows.*'item': 1"),
    "scalar": (lambda raw: raw | {"item": 3}, "'item' must hold a value for each row. Received: 3"),
    "strings": (lambda raw: raw | {"item": [1, "a"]}, "'item' must hold strings. Received: 1"),
    "bytes": (lambda raw: raw | {"item": [b"a", b"\xff"]}, "'item' must hold text, and these bytes are no UTF-8"),
    "integers": (lambda raw: raw | {"user": [1.5, 2.0]}, "'user' must hold integers. Received: 1.5"),
    "tags": (lambda raw: raw | {"tags": [[1], ["x"]]}, "'tags' must hold integers. Received: 'x'"),
    "large": (lambda raw: raw | {"user": [2**63, 1]}, "'user' must hold integers of 64 bits"),
    "larger": (lambda raw: raw | {"user": [2**70, 1]}, "'user' must hold integers of 64 bits"),
    "numbers": (lambda raw: raw | {"price": ["3", "4"]}, "'price' must hold numbers. Received: '3'"),
    "mixed": (lambda raw: raw | {"price": [1.0, [2.0]]}, "'price' must hold numbers. Received: .2.0."),
    "rank": (lambda raw: raw | {"price": np.ones((2, 3))}, "'price' must have rank 1"),
    "flat history": (lambda raw: raw | {"viewed_item": ["a", "b"]}, "'viewed_item' must hold a list in each row"),
    "negative": (lambda raw: raw | {"viewed_length": [0, -1]}, "'viewed_length' must not be negative. Received: -1"),
    "too long": (
        lambda raw: raw | {"bought_length": [0, 9]},
        "'bought_length' exceeds .*'bought_item'.* row 1: 9 of 4",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_batch_is_one_error(small, case):
    change, message = WRONG[case]
    with pytest.raises(EncoderError, match=message):
        small[0].encode(change(raw_batch(2)))


def test_a_wrong_vector_is_one_error(every):
    raw = random_raw(0)
    with pytest.raises(EncoderError, match="'text' must hold vectors of length 2"):
        every[0].encode(raw | {"text": np.ones((len(raw["word"]), 5))})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "must hold a JSON object"),
        ('{"features": [{"kind": "categorical", "name": "a"}], "labels": [{"name": "y"}]}', "yet.* of: a, y$"),
        (
            '{"features": [{"kind": "numeric", "name": "a", "mean": null, "std": 1}], "labels": [{"name": "y"}]}',
            "no vocabularies and statistics yet",
        ),
        (
            '{"features": [{"kind": "categorical", "name": "a", "table": "b"}], "labels": [{"name": "y"}]}',
            "feature 'a' shares table 'b'",
        ),
        ('{"features": [{"name": "a"}], "labels": [{"name": "y"}]}', "Unable to extract tag .*'kind'"),
        ('{"features": 3, "labels": [{"name": "y"}]}', "features: .* Received: 3"),
    ],
)
def test_a_wrong_schema_is_one_error(tmp_path, text, message):
    (tmp_path / "m.schema.json").write_text(text)
    with pytest.raises(EncoderError, match=message):
        Encoder(tmp_path / "m.schema.json")
    with pytest.raises(EncoderError, match="cannot read the schema"):
        Encoder(tmp_path / "nothing.json")


def test_imports_no_tensorflow(tmp_path):
    learned_schema().to_json(tmp_path / "m.schema.json")
    raw = {name: np.asarray(value).tolist() for name, value in raw_batch(3).items()}
    raw["price"][-1] = None
    (tmp_path / "raw.json").write_text(json.dumps(raw))
    code = (
        "import json, sys\n"
        "from serving.encoder import Encoder\n"
        "encoded = Encoder(sys.argv[1]).encode(json.load(open(sys.argv[2])))\n"
        "assert encoded['viewed_item'].shape == (3, 6)\n"
        "heavy = {'tensorflow', 'keras', 'tf_keras', 'tensorflow_datasets', 'pipelines'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "m.schema.json"), str(tmp_path / "raw.json")]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_ids_reach_the_whole_vocabulary(small):
    encoder, _ = small
    raw = raw_batch(1)
    rows = {name: np.repeat(value, len(ITEMS), axis=0) for name, value in raw.items()} | {"item": ITEMS}
    assert sorted(encoder.encode(rows)["item"]) == list(range(2, 2 + len(ITEMS)))
    assert sorted(encoder.encode(raw | {"tags": [TAGS[:3]]})["tags"][0]) == sorted(
        encoder.encode(raw | {"tags": np.array([TAGS[:3]])})["tags"][0]
    )
