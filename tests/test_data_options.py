"""Sample weights, down-sampled negatives, vectors made elsewhere, features that serving neutralises."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipelines.config import DatasetConfig
from pipelines.input import evaluation_dataset, open_source, training_dataset
from serving.request import RequestError, parse_request
from tf_interformer._keras import keras
from tf_interformer.embedding import TokenEmbedder
from tf_interformer.evaluation import evaluate, predict
from tf_interformer.export import export_saved_model
from tf_interformer.export.request import to_request
from tf_interformer.metrics import Calibration, NormalizedEntropy
from tf_interformer.preprocessing import Preprocessor
from tf_interformer.ranker import Ranker
from tf_interformer.sampling import downsample_negatives
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, SchemaError, Sequence, Vector

SMALL = {
    "backbone_config": {"num_layers": 1, "information_flow": "sole", "interaction": "dot"},
    "embedding": {"dim": 4},
    "tower_units": (8,),
}
ITEMS = [f"i{i}" for i in range(8)]


def declared(**options):
    return FeatureSchema(
        name="options",
        features=[
            Categorical("item"),
            Categorical("position", dtype="int64", serve_as=1),
            Numeric("age", buckets=3, serve_as=2.5),
            Vector("image", dim=3),
            Vector("text", dim=2, normalize=False),
        ],
        labels=[Label("click")],
        weight="importance",
        **options,
    )


def log(count=64, seed=0):
    random = np.random.default_rng(seed)
    image = random.normal(size=(count, 3)).astype(np.float32)
    image[0] = np.nan
    return {
        "item": random.choice(ITEMS, count).astype(object),
        "position": random.integers(1, 5, count),
        "age": random.gamma(2.0, 1.0, count).astype(np.float32),
        "image": image,
        "text": random.normal(size=(count, 2)).astype(np.float32),
        "importance": random.integers(0, 3, count).astype(np.float32),
        "click": (random.random(count) < 0.4).astype(np.float32),
    }


@pytest.fixture(scope="module")
def schema():
    return declared().learn([log()])


@pytest.fixture(scope="module")
def ranker(schema):
    keras.utils.set_random_seed(3)
    return Ranker(schema, **SMALL)


def test_the_options_survive_json(schema):
    for one in (declared(), schema):
        assert FeatureSchema.from_json(one.to_json()) == one
        assert FeatureSchema.from_config(json.loads(json.dumps(one.get_config()))) == one
    label = Label("click", negative_rate=0.1, downsample=True)
    assert Label(**label.model_dump()) == label


WRONG = {
    "serve_as dtype": (lambda: Categorical("a", serve_as=1), "`serve_as` must be of the feature's dtype string"),
    "serve_as of many": (lambda: Categorical("a", max_values=2, serve_as="x"), "may not be multi-valued"),
    "serve_as of a field": (
        lambda: Sequence("s", fields=[Categorical("a", serve_as="x")]),
        "field 'a' may not set `serve_as`",
    ),
    "serve_as unknown": (
        lambda: FeatureSchema(
            features=[Categorical("a", vocabulary=["x"], serve_as="y"), Numeric("n")], labels=[Label("y")]
        ),
        "'a': `serve_as` must be in the vocabulary.*Received: 'y'",
    ),
    "serve_as never seen": (
        lambda: FeatureSchema(features=[Categorical("a", serve_as="y"), Numeric("n")], labels=[Label("z")]).learn(
            [{"a": ["x"], "n": [1.0], "z": [1]}]
        ),
        "'a': `serve_as` must be in the vocabulary",
    ),
    "nothing to ask": (
        lambda: FeatureSchema(features=[Numeric("n", serve_as=0)], labels=[Label("y")]),
        "nothing is left to ask for",
    ),
    "rate": (lambda: Label("y", negative_rate=0), "Label 'y', negative_rate: .*Received: 0"),
    "downsample all": (lambda: Label("y", downsample=True), "`downsample` needs a `negative_rate` below 1"),
    "rate of two": (
        lambda: FeatureSchema(features=[Numeric("n")], labels=[Label("y", negative_rate=0.5), Label("z")]),
        r"`negative_rate` needs a schema with one label. Received: \['y', 'z'\]",
    ),
    "weight twice": (
        lambda: FeatureSchema(features=[Numeric("n")], labels=[Label("y")], weight="n"),
        "Received twice: n",
    ),
    "weight is group": (
        lambda: FeatureSchema(features=[Numeric("n")], labels=[Label("y")], weight="w", group="w"),
        "`group` may not be the weight",
    ),
    "dim": (lambda: Vector("v", dim=0), "Vector 'v', dim: .*Received: 0"),
    "negative weight": (lambda: declared().learn([log() | {"importance": -np.ones(64)}]), "weight 'importance' must"),
    "vector width": (
        lambda: declared().learn([log() | {"text": np.ones((64, 3))}]),
        "'text' must hold vectors of length 2",
    ),
    "infinite vector": (
        lambda: declared().learn([log() | {"text": np.full((64, 2), np.inf)}]),
        "'text' must hold finite",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_option_is_named(case):
    make, message = WRONG[case]
    with pytest.raises(SchemaError, match=message):
        make()


def example_of(raw, row):
    features = {}
    for name, column in raw.items():
        values = np.atleast_1d(column[row])
        if values.dtype.kind == "O" or isinstance(column[row], str):
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[str(v).encode() for v in values]))
        elif values.dtype.kind == "f" and name != "click":
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
        else:
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values.astype(int)))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_examples_signature_and_datasets_features():
    schema, raw = declared(), log()
    serialized = tf.constant([example_of(raw, row) for row in range(8)])
    batch = schema.parse_examples(serialized)
    assert set(batch) == set(raw) == set(schema.signature(labels=True))
    for name, value in batch.items():
        expected = [v.encode() for v in raw[name][:8]] if name == "item" else raw[name][:8]
        np.testing.assert_array_equal(value, expected, err_msg=name)
    asked = {"item", "image", "text"}
    assert set(schema.parse_examples(serialized, labels=False)) == set(schema.signature()) == asked
    sparse = tf.constant([example_of({k: v for k, v in raw.items() if k != "text"}, 1)])
    assert np.isnan(schema.parse_examples(sparse)["text"]).all()
    described = schema.tfds_features()
    assert set(described) == set(raw)
    assert described["image"].shape == (3,)


# Weights


def test_weights_of_a_batch(schema):
    encode = Preprocessor(schema)
    raw = log()
    np.testing.assert_array_equal(encode.weights(raw), raw["importance"])
    assert len(encode.training_batch(raw)) == 3
    plain = Preprocessor(schema.model_copy(update={"weight": None}))
    np.testing.assert_array_equal(plain.weights(raw), np.ones(64))
    assert len(plain.training_batch(raw)) == 2
    assert "importance" not in encode(raw)
    with pytest.raises(SchemaError, match="column 'importance' is missing"):
        encode.training_batch({name: value for name, value in raw.items() if name != "importance"})


def test_an_example_of_weight_two_counts_as_two(schema):
    """One step on weights 0, 1, 2 is one step on the examples left out, taken once, taken twice."""
    raw = log(32, seed=5)
    times = raw["importance"].astype(int)
    repeated = {name: np.repeat(value, times, axis=0) for name, value in raw.items()}
    scores = []
    for batch, weighted in ((raw, True), (repeated, False)):
        keras.utils.set_random_seed(1)
        ranker = Ranker(schema, **SMALL)
        ranker.compile(keras.optimizers.SGD(0.5), jit_compile=False)
        encode = ranker.preprocessor
        x, y, weights = encode.training_batch(batch)
        if weighted:
            weights = weights * len(times) / times.sum()  # Keras divides by the number of examples
        ranker.fit(
            tf.data.Dataset.from_tensors((x, y, weights) if weighted else (x, y)), epochs=2, verbose=0, shuffle=False
        )
        scores.append(ranker.score(log(16, seed=6))["click"])
    np.testing.assert_allclose(*scores, rtol=1e-4)


def test_metrics_do_not_weigh(ranker):
    encode = ranker.preprocessor
    data = tf.data.Dataset.from_tensor_slices(log()).batch(16)
    weighted = evaluate(ranker, data.map(encode.training_batch))["click"]
    plain = evaluate(ranker, data.map(lambda raw: encode.training_batch(raw)[:2]))["click"]
    np.testing.assert_array_equal(list(weighted.values()), list(plain.values()))


# Down-sampled negatives


def clicks(count, seed):
    random = np.random.default_rng(seed)
    item, user = random.integers(0, 8, count), random.normal(size=count)
    probability = 1 / (1 + np.exp(3.6 - 0.2 * item - 0.5 * user))
    return {
        "item": np.array(ITEMS, object)[item],
        "user": user.astype(np.float32),
        "click": (random.random(count) < probability).astype(np.float32),
    }


def clicks_schema(**label):
    return FeatureSchema(features=[Categorical("item"), Numeric("user")], labels=[Label("click", **label)])


def test_a_model_of_down_sampled_negatives_is_calibrated_on_all(tmp_path):
    everything, rate = clicks(40_000, seed=1), 0.1
    schema = clicks_schema(negative_rate=rate)
    kept = downsample_negatives(tf.data.Dataset.from_tensor_slices(everything), schema, seed=4).batch(256).cache()
    schema = schema.learn(kept.as_numpy_iterator())
    # Keras 3 warns of a dataset whose length nobody knows.
    kept = kept.apply(tf.data.experimental.assert_cardinality(sum(1 for _ in kept)))
    observed = everything["click"].mean()
    assert schema.labels[0].mean == pytest.approx(observed, rel=0.05)
    keras.utils.set_random_seed(0)
    ranker = Ranker(schema, **SMALL)
    ranker.compile(keras.optimizers.Adam(3e-3), jit_compile=False)
    ranker.fit(kept.map(ranker.preprocessor.training_batch), epochs=8, verbose=0, shuffle=False)

    fresh = clicks(40_000, seed=2)
    observed = fresh["click"].mean()
    scores = ranker.score(fresh)["click"]
    learned = 1 / (1 + np.exp(-np.asarray(ranker(ranker.preprocessor(fresh))["click"])[:, 0]))
    assert scores.mean() / observed == pytest.approx(1, abs=0.1)
    assert learned.mean() / observed > 5
    np.testing.assert_allclose(scores, learned / (learned + (1 - learned) / rate), rtol=1e-4)
    # in every third of the scores, too, not on average only
    for part in np.array_split(np.argsort(scores), 3):
        assert scores[part].mean() / fresh["click"][part].mean() == pytest.approx(1, abs=0.2)

    data = tf.data.Dataset.from_tensor_slices(fresh).batch(8192).map(ranker.preprocessor.training_batch)
    np.testing.assert_allclose(predict(ranker, data).probabilities("click"), scores, rtol=1e-4)
    served = tf.saved_model.load(str(export_saved_model(ranker, tmp_path))).signatures["serving_default"]
    some = {name: tf.constant(fresh[name][:50]) for name in ("item", "user")}
    outputs = served(**some)
    np.testing.assert_allclose(outputs["probability"][:, 0], scores[:50], rtol=1e-4)
    np.testing.assert_allclose(tf.sigmoid(outputs["logit"]), outputs["probability"], rtol=1e-5)
    ranker.save(tmp_path / "ranker.keras")
    np.testing.assert_allclose(Ranker.from_file(tmp_path / "ranker.keras").score(fresh)["click"], scores, rtol=1e-5)


def test_every_evaluation_corrects_for_dropped_negatives():
    """The right values are NumPy's, of the logits that `call` returns and the rate."""
    rate, held = 0.1, clicks(300, seed=6)
    schema = clicks_schema(negative_rate=rate, mean=0.1).learn([clicks(100, 0)])
    ranker = Ranker(schema, **SMALL)
    metrics = [NormalizedEntropy(base_rate=0.1), Calibration(), keras.metrics.AUC(name="auc", from_logits=True)]
    ranker.compile(keras.optimizers.SGD(0.0), metrics={"click": metrics}, jit_compile=False)
    data = tf.data.Dataset.from_tensor_slices(held).batch(128).map(ranker.preprocessor.training_batch)

    learned = np.asarray(ranker(ranker.preprocessor(held))["click"], np.float64)[:, 0]
    np.testing.assert_allclose(ranker.predict(data, verbose=0)["click"][:, 0], learned, atol=1e-5)

    def log_loss(logits):
        return (np.logaddexp(0, logits) - held["click"] * logits).mean()

    logits = learned + np.log(rate)
    expected = {
        "loss": log_loss(logits),
        "ne": log_loss(logits) / -(0.1 * np.log(0.1) + 0.9 * np.log(0.9)),
        "calibration": (1 / (1 + np.exp(-logits))).sum() / held["click"].sum(),
    }
    logs = ranker.evaluate(data, verbose=0, return_dict=True)
    history = ranker.fit(data, validation_data=data, shuffle=False, verbose=0).history
    for name, value in expected.items():
        of_metric = [key for key in logs if key.split("_")[-1] == name and key != "click_loss"]
        assert [logs[key] for key in of_metric] == pytest.approx([value], rel=1e-4), name
        assert history[f"val_{of_metric[0]}"] == pytest.approx([value], rel=1e-4)
    assert history["loss"] == pytest.approx([log_loss(learned)], rel=1e-4)  # training keeps what it has


def test_served_probabilities_start_at_the_base_rate():
    schema = clicks_schema(negative_rate=0.1, mean=0.05).learn([clicks(100, 0)])
    assert schema.labels[0].mean == 0.05
    whole = schema.model_copy(update={"labels": (Label("click", mean=0.05),)})
    scores = []
    for one in (schema, whole):
        keras.utils.set_random_seed(0)
        scores.append(Ranker(one, **SMALL).score(clicks(100, 0))["click"])
    np.testing.assert_allclose(*scores, rtol=1e-5)


def test_downsampling_keeps_positives_and_depends_on_the_seed():
    data = tf.data.Dataset.from_tensor_slices(clicks(4000, 3) | {"row": np.arange(4000)})
    schema = clicks_schema(negative_rate=0.25)

    def rows(seed):
        return [int(e["row"]) for e in downsample_negatives(data, schema, seed).as_numpy_iterator()]

    first = rows(0)
    assert first == rows(0) != rows(1)
    click = clicks(4000, 3)["click"]
    assert set(np.flatnonzero(click)) <= set(first)
    assert (len(first) - click.sum()) / (4000 - click.sum()) == pytest.approx(0.25, abs=0.03)
    with pytest.raises(SchemaError, match="must hold raw examples, not batched"):
        downsample_negatives(data.batch(2), schema)
    with pytest.raises(SchemaError, match="keeps all negatives"):
        downsample_negatives(data, clicks_schema())


def write_folder(folder, schema, raw, file_format):
    folder.mkdir()
    schema.to_json(folder / "schema.json")
    count = len(raw["click"])
    for split in ("train", "validation", "test"):
        path = str(folder / f"{split}.{file_format}")
        if file_format == "parquet":
            columns = {name: list(value) for name, value in raw.items()}
            pq.write_table(pa.table(columns | {"click": raw["click"].astype(int)}), path)
        else:
            with tf.io.TFRecordWriter(path) as writer:
                for row in range(count):
                    writer.write(example_of(raw, row))
    return open_source(DatasetConfig(name="mine", format=file_format), folder)


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
def test_pipelines_drop_negatives_of_the_training_split_alone(file_format, tmp_path):
    raw = clicks(1000, 5)
    positives = int(raw["click"].sum())
    source = write_folder(tmp_path / "a", clicks_schema(negative_rate=0.2, downsample=True), raw, file_format)

    def labels(split, **options):
        return np.concatenate([b["click"] for b in source.raw_batches(split, 64, **options).as_numpy_iterator()])

    for split in ("validation", "test"):
        assert len(labels(split)) == 1000
    kept = labels("train")
    assert kept.sum() == positives
    assert (len(kept) - positives) / (1000 - positives) == pytest.approx(0.2, abs=0.05)
    np.testing.assert_array_equal(labels("train", seed=2), labels("train", seed=2))
    shuffled = {"shuffle_buffer": 500, "seed": 2}
    np.testing.assert_array_equal(labels("train", skip=1, **shuffled), labels("train", **shuffled)[64:])

    encode = Preprocessor(source.schema.learn(source.raw_batches("train", 64).as_numpy_iterator()))
    for seed in range(3):  # as many steps as counted, whichever negatives an epoch drops
        assert len(list(training_dataset(source, encode, 16, examples=len(kept), seed=seed))) == len(kept) // 16
    assert len(list(training_dataset(source, encode, 16, examples=len(kept), skip=2))) == len(kept) // 16 - 2

    source = write_folder(tmp_path / "b", clicks_schema(negative_rate=0.2), raw, file_format)
    assert len(labels("train")) == 1000  # down-sampled before, says the schema


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
def test_pipelines_read_weights_and_vectors(file_format, tmp_path):
    raw = log()
    source = write_folder(tmp_path / "a", declared(), raw, file_format)
    encode = Preprocessor(source.schema.learn(source.raw_batches("train", 64).as_numpy_iterator()))
    encoded, _, weights = next(iter(training_dataset(source, encode, 64, examples=64, shuffle_buffer=0)))
    np.testing.assert_array_equal(weights, raw["importance"])
    for name, value in encode(raw).items():
        np.testing.assert_allclose(encoded[name], value, rtol=1e-6, err_msg=name)
    encoded, _, others = next(iter(evaluation_dataset(source, encode, "test", 64)))
    assert others == {}
    np.testing.assert_array_equal(encoded["position"], encode(raw)["position"])  # as logged, not as served


def test_parquet_vectors_may_be_null(tmp_path):
    raw = log()
    columns = {name: list(value) for name, value in raw.items()} | {"click": raw["click"].astype(int)}
    columns["text"] = [None, *columns["text"][1:]]
    columns["image"] = pa.array(columns["image"], pa.list_(pa.float32(), 3))
    source = write_folder(tmp_path / "a", declared(), raw, "parquet")
    pq.write_table(pa.table(columns), tmp_path / "a" / "test.parquet")
    batch = next(iter(source.raw_batches("test", 64)))
    assert np.isnan(batch["text"][0]).all()
    np.testing.assert_array_equal(batch["text"][1:], raw["text"][1:])
    np.testing.assert_array_equal(batch["image"], raw["image"])


# Vectors


def test_a_vector_is_scaled_to_unit_length_and_zeros_where_missing(schema):
    raw = log()
    encoded = Preprocessor(schema)(raw)
    lengths = np.linalg.norm(encoded["image"], axis=1)
    np.testing.assert_allclose(lengths, [0.0] + [1.0] * 63, atol=1e-6)
    unit = raw["image"][1:] / np.linalg.norm(raw["image"][1:], axis=1, keepdims=True)
    np.testing.assert_allclose(encoded["image"][1:], unit, atol=1e-6)
    np.testing.assert_array_equal(encoded["text"], raw["text"])
    with pytest.raises(SchemaError, match=r"column 'text' must hold vectors of length 2. Received: shape \(64, 3\)"):
        Preprocessor(schema)(raw | {"text": np.ones((64, 3))})
    with pytest.raises(SchemaError, match=r"column 'text' must hold vectors of length 2. Received: shape \(64,\)"):
        Preprocessor(schema)(raw | {"text": np.ones(64)})


def test_a_vector_is_one_token_by_a_linear_map(schema):
    embedder = TokenEmbedder(schema, dim=4)
    encoded = {name: value.numpy() for name, value in Preprocessor(schema)(log()).items()}
    tokens = embedder(encoded)
    assert embedder.feature_names == ["dense", "age_bucket", "item", "position", "image", "text"]
    assert tuple(tokens["features"].shape) == (64, 6, 4)
    assert tuple(tokens["ids"].shape) == (64, 6)
    np.testing.assert_array_equal(tokens["ids"][:, 4:], 0)
    for place, name in ((4, "image"), (5, "text")):
        kernel = np.asarray(getattr(embedder, f"vector_{name}").kernel)
        expected = [[sum(v[i] * kernel[i, j] for i in range(len(v))) for j in range(4)] for v in encoded[name]]
        np.testing.assert_allclose(tokens["features"][:, place], expected, atol=1e-6)
    np.testing.assert_array_equal(tokens["features"][0, 4], 0)
    with pytest.raises(ValueError, match="lacks the columns"):
        embedder({name: value for name, value in encoded.items() if name != "text"})


def test_saved_models_and_requests_hold_vectors(ranker, tmp_path):
    raw = log(8)
    expected = ranker.score(raw)["click"]
    ranker.save(tmp_path / "ranker.keras")
    np.testing.assert_allclose(Ranker.from_file(tmp_path / "ranker.keras").score(raw)["click"], expected, rtol=1e-6)
    request = to_request(ranker.schema, raw)
    assert set(json.loads(request)["instances"][0]) == {"item", "image", "text"}
    np.testing.assert_allclose(ranker.score(parse_request(ranker.schema, request))["click"], expected, rtol=1e-5)
    body = json.loads(request)
    body["instances"][3]["image"] = None
    assert np.isnan(parse_request(ranker.schema, json.dumps(body))["image"][3]).all()
    body["instances"][3]["image"] = [1.0]
    with pytest.raises(RequestError, match=r"instance 3: 'image' must be a list of 3 numbers. Received: \[1.0\]"):
        parse_request(ranker.schema, json.dumps(body))


def test_every_weight_learns(schema):
    keras.utils.set_random_seed(3)
    ranker = Ranker(schema, **SMALL)
    ranker.compile(keras.optimizers.Adam(1e-2), jit_compile=True)
    before = [np.array(w) for w in ranker.trainable_weights]
    data = tf.data.Dataset.from_tensors(ranker.preprocessor.training_batch(log()))
    ranker.fit(data, epochs=4, verbose=0, shuffle=False)
    for old, weight in zip(before, ranker.trainable_weights, strict=True):
        assert not np.array_equal(old, np.array(weight)), weight.name


# Features that serving neutralises


def test_scores_are_those_of_the_value_put_in(ranker, tmp_path):
    raw = log(16, seed=8)
    neutral = raw | {"position": np.ones(16, np.int64), "age": np.full(16, 2.5, np.float32)}
    logits = np.asarray(ranker(ranker.preprocessor(neutral))["click"])[:, 0]
    as_logged = np.asarray(ranker(ranker.preprocessor(raw))["click"])[:, 0]
    assert not np.allclose(logits, as_logged)
    scores = ranker.score(raw)["click"]
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    asked = {name: value for name, value in raw.items() if name in ("item", "image", "text")}
    np.testing.assert_array_equal(ranker.score(asked)["click"], scores)

    signature = tf.saved_model.load(str(export_saved_model(ranker, tmp_path))).signatures["serving_default"]
    assert set(signature.structured_input_signature[1]) == set(asked)
    served = signature(**{name: tf.constant(value) for name, value in asked.items()})
    np.testing.assert_allclose(served["probability"][:, 0], scores, atol=1e-6)

    batch = tf.data.Dataset.from_tensor_slices(raw).batch(16)
    encode = ranker.preprocessor
    measured = predict(ranker, batch.map(lambda b: (encode(b), encode.labels(b))))
    np.testing.assert_allclose(measured.logits["click"], as_logged, rtol=1e-4, atol=1e-5)
    measured = predict(ranker, batch.map(lambda b: (encode(b, serving=True), encode.labels(b))))
    np.testing.assert_allclose(measured.logits["click"], logits, rtol=1e-4, atol=1e-5)


def test_a_column_that_is_asked_for_is_named_when_it_is_missing(ranker):
    with pytest.raises(SchemaError, match="column 'item' is missing"):
        ranker.score({"image": np.ones((2, 3), np.float32)})
