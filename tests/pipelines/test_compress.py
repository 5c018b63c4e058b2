"""A small Hiformer, trained, compressed, and taken as a run like any other."""

import json

import pytest

from pipelines import compress, evaluate, train
from serving import score
from tests.pipelines.small_folder import write_folders

CONFIG = """
dataset: {name: small, format: tfrecord}
model:
  backbone: hiformer
  backbone_config: {num_layers: 2, num_heads: 2, ffn_dim: 4}
  embedding: {dim: 4}
  tower_units: [8]
training: {batch_size: 16, epochs: 1, jit_compile: false, learning_rate: 0.01}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    base = write_folders(tmp_path_factory.mktemp("log"))
    (base / "config.yaml").write_text(CONFIG)
    given = ["--config", str(base / "config.yaml"), "--data-dir", str(base / "tfrecord")]
    assert train.main([*given, "--output", str(base / "run")]) == 0
    return base


def test_a_compressed_run_is_a_run(runs, capsys):
    data = ["--data-dir", str(runs / "tfrecord")]
    assert compress.main([str(runs / "run"), "--rank", "2", "--output", str(runs / "small"), *data]) == 0
    assert "test click: auc " in capsys.readouterr().out
    assert evaluate.main([str(runs / "small"), *data]) == 0
    assert score.main([str(runs / "small" / "saved_model" / "1"), str(runs / "small" / "example_request.json")]) == 0
    assert (runs / "small" / "plots" / "spectra.png").stat().st_size > 1000
    assert " 2 " in (runs / "small" / "compression.txt").read_text()
    metrics = json.loads((runs / "small" / "metrics.json").read_text())
    assert metrics["test"]["click"]["examples"] == 50

    assert compress.main([str(runs / "run"), "--rank", "2", "--output", str(runs / "small"), *data]) == 2
    assert "exists" in capsys.readouterr().err
    assert compress.main([str(runs / "run"), "--rank", "0", "--output", str(runs / "none"), *data]) == 2
    assert "rank=0" in capsys.readouterr().err
    assert not (runs / "none").exists()


def test_no_run_is_one_error(tmp_path, capsys):
    assert compress.main([str(tmp_path), "--output", str(tmp_path / "o")]) == 2
    assert "holds no finished run" in capsys.readouterr().err
