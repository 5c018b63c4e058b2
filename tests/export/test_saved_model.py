import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.export.exported import TASKS
from tests.small_log import learned_schema, raw_batch
from tf_interformer.export import export_saved_model
from tf_interformer.ranker import Ranker


def features(count=32, seed=7):
    raw = raw_batch(count, seed, TASKS)
    return {name: tf.constant(value) for name, value in raw.items() if name not in TASKS}


def test_scores_equal_the_model_in_process(ranker, exported):
    signature = tf.saved_model.load(str(exported)).signatures["serving_default"]
    raw = features()
    raw["item"] = tf.constant(["never seen", *raw["item"].numpy()[1:]])
    served = signature(**raw)
    assert set(served) == {"click_probability", "click_logit", "buy_probability", "buy_logit"}
    for task, expected in ranker.score(raw).items():
        np.testing.assert_allclose(served[f"{task}_probability"].numpy()[:, 0], expected, atol=1e-5)


def test_any_batch_size_and_history_width(exported):
    signature = tf.saved_model.load(str(exported)).signatures["serving_default"]
    whole = features(8)
    expected = signature(**whole)["click_logit"].numpy()
    for row in range(8):
        one = {name: value[row : row + 1] for name, value in whole.items()}
        viewed, bought = int(one["viewed_length"][0]), int(one["bought_length"][0])
        one |= {name: one[name][:, :viewed] for name in ("viewed_item", "viewed_tag")}
        one["bought_item"] = one["bought_item"][:, :bought]
        np.testing.assert_allclose(signature(**one)["click_logit"].numpy()[0], expected[row], atol=1e-5)


def test_loads_in_the_session_that_serving_uses(ranker, exported):
    raw = features(4)
    graph = tf.Graph()
    with tf.compat.v1.Session(graph=graph) as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(exported))
        signature = meta.signature_def["serving_default"]
        feed = {signature.inputs[name].name: value.numpy() for name, value in raw.items()}
        scores = session.run(signature.outputs["click_probability"].name, feed)
    np.testing.assert_allclose(scores[:, 0], ranker.score(raw)["click"], atol=1e-5)


def test_signature_asks_for_no_label_and_names_every_column(exported):
    signature = tf.saved_model.load(str(exported)).signatures["serving_default"]
    assert set(signature.structured_input_signature[1]) == set(features())


def test_graph_holds_stock_operations_only(exported):
    model = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    functions = model.meta_graphs[0].graph_def.library.function
    compiled = [function.signature.name for function in functions if function.attr["_XlaMustCompile"].b]
    assert functions and compiled == []


def test_the_schema_lies_beside_the_model(ranker, exported):
    stored = json.loads((exported / "assets.extra" / "schema.json").read_text())
    assert type(ranker.schema).from_config(stored) == ranker.schema


def test_a_version_is_never_overwritten_or_half_written(ranker, exported, monkeypatch):
    with pytest.raises(FileExistsError, match=r"clicks/1 exists already"):
        export_saved_model(ranker, exported.parent)
    with pytest.raises(ValueError, match=r"`version` must be a positive integer\. Received: 0"):
        export_saved_model(ranker, exported.parent, version=0)
    monkeypatch.setattr(type(ranker.schema), "to_json", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    quick = Ranker(learned_schema(), "fm", embedding={"dim": 4})
    with pytest.raises(OSError, match="disk full"):
        export_saved_model(quick, exported.parent, version=2)
    assert not (exported.parent / "2").exists()


def test_a_single_task_has_short_names(tmp_path):
    ranker = Ranker(learned_schema(), "fm", embedding={"dim": 4})
    path = export_saved_model(ranker, tmp_path)
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    assert set(signature.structured_outputs) == {"probability", "logit"}
