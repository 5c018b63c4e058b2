"""Every signature of an exported model, in the session that TensorFlow Serving uses, and its warm-up requests."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.export.exported import CANDIDATE, TASKS, small_ranker
from tf_interformer.export import export_saved_model, next_version
from tf_interformer.export._stock_ops import check_stock_operations
from tf_interformer.export.example_rows import candidate_rows, example_rows, serialized_examples
from tf_interformer.export.float32 import for_serving, in_float32, weight_bytes

OUTPUTS = {f"{task}_{kind}" for task in TASKS for kind in ("probability", "logit")}


@pytest.fixture(scope="module")
def session(exported):
    """Calls a signature by name."""
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph)
    with graph.as_default():
        definitions = tf.compat.v1.saved_model.load(session, ["serve"], str(exported)).signature_def

    def call(name, columns):
        definition = definitions[name]
        assert set(definition.inputs) == set(columns)
        feed = {definition.inputs[key].name: value for key, value in columns.items()}
        return session.run({key: tensor.name for key, tensor in definition.outputs.items()}, feed)

    call.definitions = definitions
    yield call
    session.close()


def test_names_and_methods(session):
    methods = {name: d.method_name for name, d in session.definitions.items() if not name.startswith("__")}
    predict = ("serving_default", "serve_examples", "score_candidates", "embed")
    assert methods == {
        **dict.fromkeys(predict, "tensorflow/serving/predict"),
        "classify": "tensorflow/serving/classify",
        "regress": "tensorflow/serving/regress",
    }
    for name in predict:
        assert not set(TASKS) & set(session.definitions[name].inputs)


@pytest.mark.parametrize("count", [1, 9])
def test_rows_and_examples(ranker, session, count):
    rows = example_rows(ranker.schema, count, seed=5)
    expected = ranker.score(rows)
    examples = np.array(serialized_examples(ranker.schema, rows), object)
    for found in (session("serving_default", rows), session("serve_examples", {"examples": examples})):
        assert set(found) == OUTPUTS
        for task in TASKS:
            assert found[f"{task}_probability"].shape == (count, 1)
            np.testing.assert_allclose(found[f"{task}_probability"][:, 0], expected[task], atol=1e-5)
    assert count == 1 or np.ptp(expected["click"]) > 1e-3


def test_the_calls_classify_and_regress(ranker, session):
    rows = example_rows(ranker.schema, 4)
    inputs = {"inputs": np.array(serialized_examples(ranker.schema, rows), object)}
    expected = ranker.score(rows)["click"]
    found = session("classify", inputs)
    assert found["classes"].tolist() == [[b"0", b"1"]] * 4
    np.testing.assert_allclose(found["scores"], np.stack([1 - expected, expected], axis=1), atol=1e-5)
    np.testing.assert_allclose(session("regress", inputs)["outputs"], expected[:, None], atol=1e-5)


def test_candidates(ranker, session):
    raw = candidate_rows(ranker.schema, 7, seed=2)
    user = {name: value for name, value in raw.items() if name not in CANDIDATE}
    expected = ranker.score_candidates(user, {name: raw[name] for name in CANDIDATE})
    found = session("score_candidates", raw)
    assert set(found) == OUTPUTS
    for task in TASKS:
        assert found[f"{task}_probability"].shape == (7, 1)
        np.testing.assert_allclose(found[f"{task}_probability"][:, 0], expected[task], atol=1e-5)
    with pytest.raises(ValueError, match="Cannot feed value of shape"):
        session("score_candidates", {**raw, "age": np.zeros(2, np.float32)})


def test_embed_gives_what_the_backbone_returns(ranker, session):
    rows = example_rows(ranker.schema, 5)
    found = session("embed", rows)
    assert set(found) == {"click_representation", "buy_representation"}
    expected = ranker.backbone(ranker.embedder(ranker.preprocessor(rows, serving=True)))
    for task in TASKS:
        np.testing.assert_allclose(found[f"{task}_representation"], expected[task], atol=1e-5)


def test_a_missing_column_of_an_example_is_a_missing_value(ranker, session):
    found = session("serve_examples", {"examples": np.array([b""], object)})
    nothing = {name: value[:1] for name, value in example_rows(ranker.schema, 1).items()}
    for feature in ranker.schema.features:
        nothing[feature.name] = np.full_like(nothing[feature.name], getattr(feature, "missing", np.nan))
    for sequence in ranker.schema.sequences:
        nothing[sequence.length_column] = np.zeros(1, np.int32)
    np.testing.assert_allclose(found["buy_probability"][:, 0], ranker.score(nothing)["buy"], atol=1e-5)


def test_warm_up_requests_of_every_signature_are_answered(exported, session):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    path = exported / "assets.extra" / "tf_serving_warmup_requests"
    seen = set()
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        log = logs.PredictionLog.FromString(record)
        kind = log.WhichOneof("log_type")
        request = getattr(log, kind).request
        if kind == "predict_log":
            columns = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        else:
            columns = {"inputs": [example.SerializeToString() for example in request.input.example_list.examples]}
        found = session(request.model_spec.signature_name, columns)
        assert request.model_spec.name == "clicks"
        assert all(np.isfinite(value).all() for value in found.values() if value.dtype.kind == "f")
        seen.add((request.model_spec.signature_name, len(next(iter(found.values())))))
    both = ("serving_default", "serve_examples", "embed", "classify", "regress")
    assert seen == {(name, count) for name in both for count in (1, 64)} | {("score_candidates", 100)}


def test_example_rows_hold_known_unknown_and_missing_values(ranker):
    rows = example_rows(ranker.schema, 200)
    assert {"item_1", "never seen", ""} <= set(rows["item"])
    assert np.isnan(rows["price"]).any() and {0, 6} <= set(rows["viewed_length"])
    assert {name: value.dtype.kind for name, value in rows.items()} == {
        name: "O" if spec.dtype == tf.string else spec.dtype.as_numpy_dtype(0).dtype.kind
        for name, spec in ranker.schema.signature().items()
    }


def test_half_precision_is_exported_as_float32_without_its_neighbours(tmp_path, monkeypatch):
    ranker = small_ranker(("click",), dtype="mixed_bfloat16")
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    said = []
    path = export_saved_model(ranker, tmp_path, say=said.append)
    assert said == [f"{tmp_path}: no warm-up file was written: tensorflow-serving-api is not installed"]
    assert [file.name for file in (path / "assets.extra").iterdir()] == ["schema.json"]
    rows = example_rows(ranker.schema, 16)
    loaded = tf.saved_model.load(str(path))
    found = loaded.signatures["serving_default"](**{name: tf.constant(value) for name, value in rows.items()})
    exact = for_serving(ranker)
    assert exact.compute_dtype == exact.backbone.compute_dtype == "float32"
    assert found["probability"].dtype == tf.float32
    np.testing.assert_allclose(found["probability"][:, 0], exact.score(rows)["click"], atol=1e-5)
    np.testing.assert_allclose(found["probability"][:, 0], ranker.score(rows)["click"], atol=2e-2)
    assert set(loaded.signatures["embed"].structured_outputs) == {"representation"}
    assert not {node.attr["T"].type for node in _nodes(path)} & {tf.bfloat16.as_datatype_enum}
    assert next_version(tmp_path) == 2 and next_version(tmp_path / "none") == 1


def test_narrow_tables_are_stored_narrow(tmp_path):
    ranker = small_ranker(("click",), information_flow="sole")
    narrow = in_float32(ranker, "bfloat16")
    table_rows = sum(rows * width for width, rows in ranker.embedder._layout.rows.items())
    assert weight_bytes(ranker) - weight_bytes(narrow) == 2 * table_rows
    rows = example_rows(ranker.schema, 16)
    signature = tf.saved_model.load(str(export_saved_model(narrow, tmp_path))).signatures["serving_default"]
    found = signature(**{name: tf.constant(value) for name, value in rows.items()})["probability"][:, 0]
    np.testing.assert_allclose(found, narrow.score(rows)["click"], atol=1e-5)
    np.testing.assert_allclose(found, ranker.score(rows)["click"], atol=2e-2)


class Served(tf.Module):
    """Holds a function that stock TensorFlow Serving cannot run."""

    def __init__(self, function, **options):
        super().__init__()
        self.call = tf.function(function, input_signature=[tf.TensorSpec([None])], **options)


FOREIGN = {
    "Python": (lambda: Served(lambda x: tf.numpy_function(np.sin, [x], tf.float32)), "PyFunc"),
    "XLA": (lambda: Served(tf.sin, jit_compile=True), r"compiled by XLA"),
    "XLA inside": (lambda: Served(lambda x: tf.function(tf.sin, jit_compile=True)(x)), r"compiled by XLA"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_what_stock_tensorflow_cannot_run_is_refused(case, tmp_path):
    module, message = FOREIGN[case]
    tf.saved_model.save(module(), str(tmp_path))
    with pytest.raises(ValueError, match=message):
        check_stock_operations(tmp_path)


def test_an_operation_of_another_library_is_refused(tmp_path):
    tf.saved_model.save(Served(tf.sin), str(tmp_path))
    check_stock_operations(tmp_path)
    model = _saved(tmp_path)
    model.meta_graphs[0].graph_def.library.function[0].node_def.add(name="odd", op="Addons>Odd")
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=r"TensorFlow's own operations only.*: Addons>Odd$"):
        check_stock_operations(tmp_path)


def _saved(folder):
    from tensorflow.core.protobuf import saved_model_pb2

    return saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())


def _nodes(folder):
    for function in _saved(folder).meta_graphs[0].graph_def.library.function:
        yield from function.node_def
