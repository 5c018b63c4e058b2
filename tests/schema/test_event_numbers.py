"""Numbers and ages as fields of events: learned, encoded, embedded and served."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

from serving.encoder import Encoder, EncoderError
from serving.graph_session import GraphSession
from serving.onnx import export_onnx, open_session
from tf_interformer._keras import ops
from tf_interformer.embedding import TokenEmbedder
from tf_interformer.export import export_saved_model
from tf_interformer.export.example_rows import example_rows, serialized_examples
from tf_interformer.preprocessing import Preprocessor
from tf_interformer.ranker import Ranker
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, SchemaError, Sequence

NAN = math.nan
PRICES, AGES = [[1.0, 2.0, NAN, 99.0], [6.0, 99.0, 99.0, 99.0], [5.0] * 4], [[3600, 60, 1, 7]] * 3


def declared(**sequence):
    fields = [
        Categorical("item", table="item"),
        Numeric("price"),
        Numeric("age", transform="log"),
        Numeric("ratio", transform="none"),
    ]
    return FeatureSchema(
        features=[Categorical("item"), Categorical("user"), Numeric("price", transform="log")],
        sequences=[Sequence("seen", **{"fields": fields, "max_length": 3, "match": ["item"], **sequence})],
        labels=[Label("click")],
        candidate=["item", "price"],
    )


RAW = {
    "item": ["a", "b", "c"],
    "user": ["x", "y", "x"],
    "price": [3.0, NAN, 4.0],
    "seen_item": [["a", "b", "a", "c"]] * 3,
    "seen_price": PRICES,
    "seen_age": AGES,
    "seen_ratio": [[0.5, NAN, 0.25, 9.0]] * 3,
    "seen_length": [3, 1, 4],
    "click": [0, 1, 0],
}


@pytest.fixture(scope="module")
def schema():
    return declared().learn([RAW])


@pytest.fixture(scope="module")
def ranker(schema):
    made = Ranker(schema, "din", embedding={"dim": 4}, tower_units=(4,))
    made.compile("adam", jit_compile=False)
    made.fit(*made.preprocessor.training_batch(RAW), verbose=0)
    return made


def test_learned_from_the_events_that_are_real(schema):
    real = np.array([1.0, 2.0, 6.0, 5.0, 5.0, 5.0, 5.0])
    ages = np.log1p([3600, 60, 1, 3600, 3600, 60, 1, 7])
    price, age, ratio = (schema[f"seen_{name}"] for name in ("price", "age", "ratio"))
    np.testing.assert_allclose((price.mean, price.std), (real.mean(), real.std()))
    np.testing.assert_allclose((age.mean, age.std), (ages.mean(), ages.std()))
    assert ratio.std == 1 and schema["price"].mean != price.mean
    assert FeatureSchema.from_json(schema.to_json()) == schema
    halves = [{name: values[part] for name, values in RAW.items()} for part in (slice(0, 1), slice(1, 3))]
    np.testing.assert_allclose(declared().learn(halves)["seen_age"].std, age.std)
    assert not declared().is_learned


def test_encoded_as_numbers_of_the_last_events_and_zero_behind_them(schema):
    encoded = {name: value.numpy() for name, value in Preprocessor(schema)(RAW).items()}
    price, age = schema["seen_price"], schema["seen_age"]
    scaled = [(value - price.mean) / price.std for value in (1.0, 2.0, 6.0, 5.0)]
    expected = [[scaled[0], scaled[1], 0.0], [scaled[2], 0.0, 0.0], [scaled[3]] * 3]
    np.testing.assert_allclose(encoded["seen_price"], expected, rtol=1e-5, atol=1e-7)
    latest = (np.log1p([60, 1, 7]) - age.mean) / age.std
    np.testing.assert_allclose(encoded["seen_age"][2], latest, rtol=1e-5)
    mean = np.mean([0.5, 0.25, 0.5, 0.5, 0.25, 9.0])
    np.testing.assert_allclose(encoded["seen_ratio"][0], [0.5, mean, 0.25], rtol=1e-6)


def test_the_latest_event_on_the_candidate_tells_its_numbers(schema):
    encoded = {name: value.numpy() for name, value in Preprocessor(schema)(RAW).items()}
    (match,) = schema.comparisons
    assert match.numbers[2:] == ("seen_item_last_price", "seen_item_last_age", "seen_item_last_ratio")
    for name in ("price", "age", "ratio"):  # `a` stands third, `b` is not in the only event, `c` is the last of four
        events = encoded[f"seen_{name}"]
        np.testing.assert_array_equal(encoded[f"seen_item_last_{name}"], [events[0, 2], 0, events[2, 2]])
    assert set(match.numbers) <= set(schema.candidate_columns)


def test_graph_and_encoder_give_the_same(schema, tmp_path):
    preprocessor = Preprocessor(schema)
    eager = preprocessor(RAW, serving=True)
    schema.to_json(tmp_path / "schema.json")
    encoded = Encoder(tmp_path / "schema.json").encode(RAW)
    ragged = {**RAW, "seen_price": [row[:count] for row, count in zip(PRICES, RAW["seen_length"], strict=True)]}
    dataset = tf.data.Dataset.from_tensors({name: tf.constant(value) for name, value in RAW.items()})
    (graph,) = dataset.map(preprocessor)
    tensors = {**RAW, "seen_price": tf.ragged.constant(ragged["seen_price"])}
    for found in (encoded, graph, preprocessor(ragged), preprocessor(tensors)):
        assert set(found) >= set(eager)
        for name, value in eager.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
            assert np.asarray(found[name]).dtype == value.numpy().dtype, name


def test_embedded_by_a_map_of_their_own_and_zero_behind_the_last(schema):
    embedder = TokenEmbedder(schema, dim=4)
    encoded = Preprocessor(schema)(RAW)
    events = ops.convert_to_numpy(embedder(encoded)["sequences"]["seen"])
    assert events.shape == (3, 3, 3 * 4)  # the item, whether it is the candidate, the numbers
    assert embedder.compute_output_shape({k: v.shape for k, v in encoded.items()})["sequences"]["seen"] == (None, 3, 12)
    numbers = np.stack([encoded[f"seen_{name}"] for name in ("price", "age", "ratio")], axis=-1)
    kernel, bias = (ops.convert_to_numpy(weight) for weight in embedder.numbers_seen.weights)
    real = np.arange(3)[None, :, None] < np.asarray(encoded["seen_length"])[:, None, None]
    embedder.numbers_seen.biases[0].assign(bias + 1)
    events = ops.convert_to_numpy(embedder(encoded)["sequences"]["seen"])
    np.testing.assert_allclose(events[:, :, 8:], np.where(real, numbers @ kernel + bias + 1, 0), rtol=1e-5, atol=1e-6)


def test_only_what_stands_in_real_events_is_seen(ranker):
    expected = ranker.score(RAW)["click"]
    other = np.array(PRICES)
    other[0, 3], other[1, 1:] = -5.0, NAN
    np.testing.assert_array_equal(ranker.score({**RAW, "seen_price": other.tolist()})["click"], expected)
    other[0, 0] = 50.0
    assert ranker.score({**RAW, "seen_price": other.tolist()})["click"][0] != expected[0]


def test_served_every_way(ranker, tmp_path):
    schema, path = ranker.schema, tmp_path / "ranker.keras"
    rows = example_rows(schema, 6, seed=3)
    assert np.isnan(rows["seen_price"]).any()
    expected = ranker.score(rows)["click"]
    ranker.save(path)
    np.testing.assert_array_equal(Ranker.from_file(path).score(rows)["click"], expected)
    session = GraphSession(export_saved_model(ranker, tmp_path / "model"))
    examples = np.array(serialized_examples(schema, rows), object)
    for signature, inputs in (("serving_default", rows), ("serve_examples", {"examples": examples})):
        np.testing.assert_allclose(session.run(signature, inputs)["probability"][:, 0], expected, rtol=1e-5)
    export_onnx(ranker, tmp_path / "model.onnx")
    encoded = Encoder(tmp_path / "model.schema.json").encode(rows)
    (found,) = open_session(tmp_path / "model.onnx").run(["probability"], encoded)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5)
    user = {name: value[:1] for name, value in rows.items() if name not in schema.candidate}
    items = {name: rows[name] for name in schema.candidate}
    repeated = {name: np.repeat(value, 6, axis=0) for name, value in user.items()} | items
    scores = ranker.score_candidates(user, items)["click"]
    np.testing.assert_allclose(scores, ranker.score(repeated)["click"], rtol=1e-5)


def test_without_some_of_them(schema):
    less = schema.without("seen_age", "seen_item")
    assert less.sequences[0].event_columns == ("seen_price", "seen_ratio") and not less.sequences[0].match
    tokens = TokenEmbedder(less, dim=4)(Preprocessor(less)(RAW))  # events of numbers alone
    assert tuple(tokens["sequences"]["seen"].shape) == (3, 3, 4)


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ({"fields": [Numeric("price", buckets=4)], "match": []}, "'price' may have no `buckets`"),
        ({"fields": [Numeric("price", serve_as=1.0)], "match": []}, "'price' may not set `serve_as`"),
        ({"match": ["price"]}, "`match` must name categorical fields, which are .'item'.. Received: 'price'"),
        ({"distance": ["price"]}, "`distance` must name categorical fields"),
    ],
)
def test_what_a_number_of_an_event_is_not(sequence, message):
    with pytest.raises(SchemaError, match=message):
        declared(**sequence)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([["x"] * 4] * 3, "column 'seen_price' must hold numbers. Received: 'x'"),
        ([[1.0, math.inf, 0, 0]] * 3, "column 'seen_price' must hold finite numbers"),
        ([[1.0], [], [2.0]], "exceeds the events in 'seen_price'. Received in row 0: 3 of 1 events"),
    ],
)
def test_wrong_numbers_are_named(schema, column, message, tmp_path):
    wrong = {**RAW, "seen_price": column}
    schema.to_json(tmp_path / "schema.json")
    with pytest.raises(SchemaError, match=message):
        Preprocessor(schema)(wrong)
    with pytest.raises(SchemaError, match=message):
        declared().learn([wrong])
    with pytest.raises(EncoderError, match=message):
        Encoder(tmp_path / "schema.json").encode(wrong)


def test_an_encoder_without_moments_says_so(schema, tmp_path):
    config = json.loads(schema.to_json())
    config["sequences"][0]["fields"][1]["mean"] = None
    (tmp_path / "schema.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match=r"no vocabularies and statistics yet.* of: seen_price$"):
        Encoder(tmp_path / "schema.json")


def test_half_precision_must_hold_them():
    schema = declared(fields=[Numeric("price", transform="none")], match=[]).learn([RAW])
    with pytest.raises(SchemaError, match=r"column seen_price by none must fit float16.*Received: 1000000"):
        Preprocessor(schema, "float16")({**RAW, "seen_price": [[1e6] * 4] * 3})


@pytest.mark.parametrize("transform", ["log", "standardize", "none"])
def test_how_old_events_are_is_told_whatever_the_transform(transform):
    fields = [Categorical("item", table="item"), Numeric("age", transform=transform)]
    made = declared(fields=fields, age="age").learn([RAW])
    assert FeatureSchema.from_json(made.to_json())["seen_age"].transform == transform
    tokens = TokenEmbedder(made, dim=4)(Preprocessor(made)(RAW))
    ages = np.asarray(tokens["ages"]["seen"])
    assert ages.shape == (3, 3)
    np.testing.assert_allclose(ages[0], np.log1p([3600, 60, 1]), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ages[1, :1], np.log1p([3600]), rtol=1e-4)
    np.testing.assert_allclose(ages[2], np.log1p([60, 1, 7]), rtol=1e-4, atol=1e-4)
    (seen,) = made.sequences
    assert seen.without("seen_age").age is None and seen.without("seen_item").age == "age"


def test_an_age_is_a_number_of_the_events():
    with pytest.raises(
        SchemaError, match=r"`age` must name a numeric field, which are \['price', 'age', 'ratio'\].*'item'"
    ):
        declared(age="item")
