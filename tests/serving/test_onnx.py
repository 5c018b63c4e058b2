"""The ONNX file gives TensorFlow's scores, whatever the model."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
import tf2onnx

import serving.onnx
from pipelines.training_run import TrainingRun
from serving.encoder import Encoder, EncoderError
from serving.onnx import OnnxError, export_onnx, main, open_session
from tests.small_log import learned_schema, raw_batch
from tf_interformer._keras import keras
from tf_interformer.layers._pair_hash import P, PairHash
from tf_interformer.ranker import Ranker
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, Sequence, Vector

INTERFORMER = {"num_layers": 1, "information_flow": "both", "interaction": "dot", "num_heads": 2}
# Without a Sequence Arch, the quickest to convert
SOLE = {**INTERFORMER, "information_flow": "sole"}
SCHEMA = FeatureSchema(
    features=[
        Categorical("item", vocabulary=["a", "b", "c"]),
        Categorical("user", hash_buckets=50),
        Categorical("position", dtype="int64", vocabulary=[1, 2], serve_as=1),
        Numeric("price", transform="log", mean=1.0, std=2.0, buckets=2, boundaries=[1.0]),
        Vector("image", dim=3),
    ],
    sequences=[Sequence("viewed", fields=[Categorical("item", table="item")], max_length=5)],
    labels=[Label("click", mean=0.1, negative_rate=0.2)],
)
RAW = {
    "item": np.array(["a", "never seen", "", "c"], object),
    "user": np.array(["ann", "bob", "Ünï", "ann"], object),
    "price": np.array([0.0, 12.5, np.nan, -3.0], np.float32),
    "image": np.array([[1, 0, 2], [0, 0, 0], [np.nan, 0, 1], [-1, 5, 0]], np.float32),
    "viewed_item": np.array([list("abcabcab")] * 4, object),
    "viewed_length": np.array([8, 0, 3, 5], np.int32),
}


def comparing(schema):
    """With a place in the list, and events that are compared with the candidate."""
    (viewed,) = schema.sequences
    fields = [*viewed.fields, Categorical("place", dtype="int64", table="place")]
    return FeatureSchema(
        **{
            **dict(schema),
            "features": [*schema.features, Categorical("place", dtype="int64", vocabulary=range(1, 9))],
            "sequences": [Sequence("viewed", fields=fields, max_length=5, match=["item"], distance=["place"])],
        }
    )


MODELS = {
    **{
        f"interformer {interaction}": ("interformer", {**SOLE, "interaction": interaction})
        for interaction in ("dcn_v2", "dhen", "hiformer", "heterogeneous_attention", "dual_enhanced_attention")
    },
    "hiformer": ("hiformer", {"num_layers": 1, "num_heads": 2}),
    "dual_enhanced_attention": ("dual_enhanced_attention", {"num_layers": 1, "num_heads": 2}),
}


def small_ranker(schema=SCHEMA, **options):
    keras.utils.set_random_seed(4)
    given = {"backbone_config": INTERFORMER, "embedding": {"dim": 8, "stddev": 1.0}, "tower_units": (8,)}
    return Ranker(schema, **{**given, **options})


@pytest.fixture(scope="module")
def ranker():
    return small_ranker()


@pytest.fixture(scope="module")
def sole():
    return small_ranker(backbone_config=SOLE)


@pytest.fixture(scope="module")
def exported(ranker, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    assert export_onnx(ranker, path) <= 1e-5
    return path


def encoded(path, raw):
    return Encoder(path.with_suffix(".schema.json")).encode(raw)


def test_raw_columns_are_scored_without_tensorflow(ranker, exported):
    """With `serve_as` put in and down-sampling corrected, as `score` does."""
    probability, logit = open_session(exported).run(["probability", "logit"], encoded(exported, RAW))
    assert probability.dtype == logit.dtype == np.float32 and probability.shape == (4, 1)
    np.testing.assert_allclose(probability[:, 0], ranker.score(RAW)["click"], atol=1e-5)
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-logit)), atol=1e-5)


def test_histories_that_know_the_candidate(tmp_path):
    """Among the random batches of the check are histories longer than the schema keeps."""
    made = small_ranker(comparing(SCHEMA), backbone_config=SOLE)
    path = tmp_path / "comparing.onnx"
    assert export_onnx(made, path) <= 1e-5
    raw = RAW | {"place": np.array([3, 9, -1, 1]), "viewed_place": np.array([[1, 2, 3, 4, -1, 6, 70, 8]] * 4)}
    probability, _ = open_session(path).run(["probability", "logit"], encoded(path, raw))
    np.testing.assert_allclose(probability[:, 0], made.score(raw)["click"], atol=1e-5)


def test_inputs_and_outputs_are_named(ranker, exported):
    session = open_session(exported)
    inputs = {value.name: (value.shape, value.type) for value in session.get_inputs()}
    assert set(inputs) == set(encoded(exported, RAW)) == set(ranker.encoded_shapes)
    assert inputs["viewed_item"] == (["batch", "viewed_item_events"], "tensor(int32)")
    assert inputs["image"] == (["batch", 3], "tensor(float)")
    assert {value.name: value.shape for value in session.get_outputs()} == {
        "probability": ["batch", 1],
        "logit": ["batch", 1],
    }


def test_any_number_of_rows_and_events(exported):
    session, batch = open_session(exported), encoded(exported, RAW)
    expected = session.run(["logit"], batch)[0]
    unlimited = {**batch, "viewed_item": np.array([[2, 3, 4, 2, 3, 4, 2, 3]] * 4, np.int32)}
    unlimited["viewed_length"] = RAW["viewed_length"]
    np.testing.assert_allclose(session.run(["logit"], unlimited)[0], expected, atol=1e-5)
    for row, length in enumerate(batch["viewed_length"]):
        one = {name: value[row : row + 1] for name, value in batch.items()}
        one["viewed_item"] = one["viewed_item"][:, :length]
        np.testing.assert_allclose(session.run(["logit"], one)[0], expected[row : row + 1], atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_converts(tmp_path, model):
    backbone, config = MODELS[model]
    made = small_ranker(backbone=backbone, backbone_config=config)
    assert export_onnx(made, tmp_path / "model.onnx") <= 1e-5
    probability = open_session(tmp_path / "model.onnx").run(["probability"], encoded(tmp_path / "model.onnx", RAW))[0]
    np.testing.assert_allclose(probability[:, 0], made.score(RAW)["click"], atol=1e-5)


def test_several_tasks_of_a_log(tmp_path):
    made = small_ranker(learned_schema(("click", "buy")), backbone_config=SOLE, tower_activation="gelu")
    made.compile("adam")  # with XLA, which must not get into the file
    export_onnx(made, tmp_path / "model.onnx", opset=18)
    raw = raw_batch(16, seed=5)
    names = ["click_probability", "buy_probability"]
    scores = open_session(tmp_path / "model.onnx").run(names, encoded(tmp_path / "model.onnx", raw))
    expected = made.score(raw)
    np.testing.assert_allclose(scores[0][:, 0], expected["click"], atol=1e-5)
    np.testing.assert_allclose(scores[1][:, 0], expected["buy"], atol=1e-5)


@pytest.mark.parametrize("half", ["policy", "tables"])
def test_half_precision_is_converted_in_float32(tmp_path, half):
    embedding = {"dim": 4, "table_dtype": "bfloat16" if half == "tables" else "float32"}
    policy = "mixed_bfloat16" if half == "policy" else "float32"
    made = small_ranker(backbone_config=SOLE, embedding=embedding, dtype=policy)
    export_onnx(made, tmp_path / "model.onnx")
    probability = open_session(tmp_path / "model.onnx").run(["probability"], encoded(tmp_path / "model.onnx", RAW))[0]
    tolerance = 1e-2 if half == "policy" else 1e-5
    np.testing.assert_allclose(probability[:, 0], made.score(RAW)["click"], atol=tolerance)


def test_pairs_of_the_largest_ids_have_the_same_rows():
    first, second = np.triu_indices(3)
    hashed = PairHash(first, second, 2, 1_000_003)
    ids = np.array([[1, 2, 3], [P - 1, P, P + 1], [2**31 - 1, P * P, 0], [2**31 - 1] * 3], np.int32)
    ids = np.concatenate([ids, np.random.default_rng(0).integers(0, 2**31 - 1, (1000, 3), np.int32)])
    function = tf.function(lambda ids: {"rows": hashed(ids)}, autograph=False)
    model, _ = tf2onnx.convert.from_function(function, [tf.TensorSpec((None, 3), tf.int32, "ids")], opset=17)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(["rows"], {"ids": ids})[0], hashed(tf.constant(ids)))


def unsupported(ranker):
    return lambda encoded: {"logit": tf.math.lgamma(encoded["price"])[:, None]}


REFUSED = {
    "other scores": ({"TOLERANCE": 0.0}, "differs from TensorFlow's by .*0e\\+00 is allowed"),
    "unknown operation": ({"numeric_core": unsupported}, "does not convert to ONNX: .*Lgamma"),
    "too large": ({"_LARGEST": 100}, "the weights take [0-9,]+ bytes"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_does_not_pass_is_not_left(sole, tmp_path, monkeypatch, case):
    changes, message = REFUSED[case]
    for name, value in changes.items():
        monkeypatch.setattr(serving.onnx, name, value)
    with pytest.raises(OnnxError, match=message):
        export_onnx(sole, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_argument_is_one_error(ranker, exported):
    with pytest.raises(FileExistsError, match=r"model\.onnx exists already"):
        export_onnx(ranker, exported)
    with pytest.raises(ValueError, match=r"must end in \.onnx\. Received: .*model\.txt"):
        export_onnx(ranker, exported.with_suffix(".txt"))
    with pytest.raises(ValueError, match=r"`opset` must be 17 or 18\. Received: 21"):
        export_onnx(ranker, exported.with_name("other.onnx"), opset=21)


def test_a_column_may_not_be_called_like_an_output(tmp_path):
    schema = FeatureSchema(features=[Numeric("logit", mean=0.0, std=1.0)], labels=[Label("y", mean=0.5)])
    made = small_ranker(schema, backbone="hiformer", backbone_config={"num_layers": 1, "num_heads": 2})
    with pytest.raises(OnnxError, match=r"columns \['logit'\] have the names of outputs"):
        export_onnx(made, tmp_path / "model.onnx")


def test_command(sole, tmp_path, capsys):
    run = TrainingRun(tmp_path / "run")
    assert main([str(run.path), "--output", str(tmp_path / "model.onnx")]) == 2
    assert "holds no finished run" in capsys.readouterr().err
    run.save_model(sole, run.model)
    run.save_metrics({})
    assert main([str(run.path), "--output", str(tmp_path / "model.txt")]) == 2
    assert "--output: the name of the file must end in .onnx" in capsys.readouterr().err
    assert main([str(run.path), "--output", str(tmp_path / "model.onnx")]) == 0
    assert "largest difference from TensorFlow" in capsys.readouterr().out
    onnx.checker.check_model(str(tmp_path / "model.onnx"))
    stored = json.loads((tmp_path / "model.schema.json").read_text())
    assert FeatureSchema.from_config(stored) == sole.schema
    assert main([str(run.path), "--output", str(tmp_path / "model.onnx")]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("match", [False, True], ids=["", "match"])
def test_a_file_that_takes_requests(match, tmp_path):
    """Two users, whose candidates are four: the scores of as many rows."""
    schema = (comparing(SCHEMA) if match else SCHEMA).replace(candidate=("item", "place") if match else ("item",))
    made = small_ranker(schema, backbone_config={**INTERFORMER, "candidate_flow": "request"})
    path = tmp_path / "requests.onnx"
    assert export_onnx(made, path, by_request=True) <= 1e-5
    more = {"place": np.array([3, 9, -1, 1]), "viewed_place": np.array([[1, 2, 3, 4, -1, 6, 70, 8]] * 4)}
    raw = RAW | more if match else RAW
    row = np.array([0, 0, 1, 0], "int32")
    theirs = {name: raw[name] for name in schema.candidate}
    users = {name: value[:2] for name, value in raw.items() if name not in theirs}
    probability, _ = open_session(path).run(["probability", "logit"], encoded(path, {**users, **theirs, "_row": row}))
    rows = {**{name: value[row] for name, value in users.items()}, **theirs}
    np.testing.assert_allclose(probability[:, 0], made.score(rows)["click"], atol=1e-5)
    shapes = {value.name: value.shape[0] for value in open_session(path).get_inputs()}
    assert shapes["_row"] == shapes["item"] == "batch" and shapes["viewed_length"] == "users"
    if not match:
        return
    encoder = Encoder(path.with_suffix(".schema.json"))
    with pytest.raises(EncoderError, match=r"'_row' must be rows of the user's columns, 0 to 1\. Received: 0 to 2"):
        encoder.encode({**users, **theirs, "_row": row + row.astype("int32")})
    with pytest.raises(EncoderError, match=r"'_row' must be int32 \[batch\]\. Received: int64"):
        encoder.encode({**users, **theirs, "_row": row.astype("int64")})
    with pytest.raises(EncoderError, match="the candidate's as many as '_row', 3"):
        encoder.encode({**users, **theirs, "_row": row[:3]})


def test_requests_need_candidates(tmp_path, ranker):
    with pytest.raises(ValueError, match="`by_request` needs a schema that names the candidate's features"):
        export_onnx(ranker, tmp_path / "none.onnx", by_request=True)
