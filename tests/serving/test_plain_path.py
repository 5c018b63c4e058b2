"""A model's folder is one folder, whatever characters its name has."""

import numpy as np
import tensorflow as tf

from serving.graph_session import GraphSession
from serving.plain_path import plain_path
from serving.server.tensorflow_model import TensorFlowModel


def test_what_tensorflow_would_take_for_a_pattern(tmp_path, monkeypatch):
    class Doubled(tf.Module):
        def __init__(self):
            super().__init__()
            self.weight = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def call(self, x):
            return {"y": x * self.weight}

    model = Doubled()
    folder = tmp_path / "clicks [2]*?" / "1"
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.call})
    x = np.array([1.0, 3.0], np.float32)
    with GraphSession(folder) as session:
        assert session.run("serving_default", {"x": x})["y"].tolist() == [2, 6]
    with plain_path(folder) as path:
        loaded = tf.saved_model.load(path)
    assert loaded.signatures["serving_default"](x=tf.constant(x))["y"].numpy().tolist() == [2, 6]
    served = TensorFlowModel(folder)
    assert served.version == 1 and set(served.signatures) == {"serving_default"}
    monkeypatch.chdir(folder.parent)  # what is above a relative path counts, too
    with plain_path("1") as path:
        assert path != "1"


def test_other_paths_are_left_alone(tmp_path):
    with plain_path(tmp_path) as path:
        assert path == str(tmp_path)
