"""`tf-interformer export` on the folder of a run."""

import numpy as np
import pytest

import serving.onnx
from serving.export import main
from serving.server.onnx_model import OnnxModel
from serving.server.tensorflow_model import TensorFlowModel
from tests.small_log import learned_schema
from tf_interformer._keras import keras
from tf_interformer.export import saved_model
from tf_interformer.export.example_rows import example_rows
from tf_interformer.ranker import Ranker


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    keras.utils.set_random_seed(2)
    path = tmp_path_factory.mktemp("runs") / "run"
    path.mkdir()
    config = {"num_layers": 1, "num_heads": 2, "ffn_dim": 4}
    ranker = Ranker(learned_schema(), "hiformer", config, embedding={"dim": 4, "stddev": 0.5}, tower_units=(8,))
    ranker.save(str(path / "model.keras"))
    (path / "metrics.json").write_text("{}")
    return path


def test_each_export_takes_the_next_number(run, tmp_path, capsys):
    base = tmp_path / "clicks"
    assert main([str(run), "--output", str(base)]) == 0
    assert "no signature score_candidates: the run's schema does not say which" in capsys.readouterr().out
    assert main([str(run), "--output", str(base), "--compress-rank", "2", "--narrow-tables"]) == 0
    out = capsys.readouterr().out
    assert "backbone/block_0/attention/key" in out
    assert "probabilities of 1,000 generated rows differ by at most " in out
    assert sorted(path.name for path in base.iterdir()) == ["1", "2"]
    weights = [(base / version / "variables" / "variables.data-00000-of-00001").stat().st_size for version in "12"]
    assert weights[1] < weights[0]

    assert main([str(run), "--output", str(base), "--version", "2"]) == 2
    assert f"error: --version: {base / '2'} exists already: give another name" in capsys.readouterr().err


def test_onnx_files_beside_the_model(run, tmp_path, monkeypatch, capsys):
    """They appear with the version, or neither does."""
    base = tmp_path / "clicks"
    monkeypatch.setattr(serving.onnx, "_LARGEST", 100)
    assert main([str(run), "--output", str(base), "--onnx"]) == 2
    assert "model.keras: --onnx: the weights take " in capsys.readouterr().err
    assert list(base.iterdir()) == []
    monkeypatch.undo()
    smaller = ["--compress-rank", "2", "--narrow-tables"]
    assert main([str(run), "--output", str(base), "--onnx", *smaller]) == 0
    extra = {path.name for path in (base / "1" / "assets.extra").iterdir()}
    assert extra == {"schema.json", "tf_serving_warmup_requests", "model.onnx"}  # no candidates, no `requests.onnx`
    fast, usual = OnnxModel(base / "1"), TensorFlowModel(base / "1")
    assert sorted(fast.signatures) == ["classify", "regress", "serve_examples", "serving_default"]
    raw = example_rows(usual.schema, 9)
    found, expected = (model.run("serving_default", raw)["probability"] for model in (fast, usual))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_an_export_that_another_one_was_faster_than_takes_the_next_number(run, tmp_path, monkeypatch, capsys):
    """The other one ends between the choice of the number and the rename."""
    others = [tmp_path / "1", tmp_path / "2"]

    def write(ranker, folder, *_):
        folder.mkdir()
        (folder / "saved_model.pb").write_text("ours")
        if others:
            others.pop(0).mkdir()
            (tmp_path / f"{2 - len(others)}" / "saved_model.pb").write_text("theirs")

    monkeypatch.setattr(saved_model, "_write", write)
    assert main([str(run), "--output", str(tmp_path)]) == 0
    assert {path.name: (path / "saved_model.pb").read_text() for path in tmp_path.iterdir()} == {
        "1": "theirs",
        "2": "theirs",
        "3": "ours",
    }
    assert main([str(run), "--output", str(tmp_path), "--version", "3"]) == 2
    assert f"--version: {tmp_path / '3'} exists already" in capsys.readouterr().err


def test_what_is_wrong_is_one_error(run, tmp_path, capsys):
    wrong = {
        "holds no finished run: ": [str(tmp_path)],
        "`version` must be a positive integer. Received: 0": [str(run), "--version", "0"],
        "--compress-rank 0: `rank` must be an integer of at least 1": [str(run), "--compress-rank", "0"],
    }
    for message, arguments in wrong.items():
        assert main([*arguments, "--output", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error
    (tmp_path / "metrics.json").write_text("{}")
    assert main([str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "model.keras does not exist" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
