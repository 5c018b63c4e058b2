"""Every way to serve a run gives the same scores; candidates are ranked by a served run."""

import json

import pytest

from pipelines import train
from serving import agreement, rank
from tests.pipelines.small_folder import write_folders

CONFIG = """
dataset: {name: small, format: tfrecord}
model:
  backbone_config: {num_layers: 1, interaction: dot, information_flow: sole}
  embedding: {dim: 4}
  tower_units: [8]
training: {batch_size: 16, epochs: 1, jit_compile: false}
"""


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    base = write_folders(tmp_path_factory.mktemp("log"))
    (base / "config.yaml").write_text(CONFIG)
    schema = base / "tfrecord" / "schema.json"
    config = json.loads(schema.read_text()) | {"candidate": ["item", "tags", "price"]}
    next(feature for feature in config["features"] if feature["name"] == "price")["serve_as"] = 2.0
    schema.write_text(json.dumps(config))
    data = ["--data-dir", str(base / "tfrecord")]
    assert train.main(["--config", str(base / "config.yaml"), "--output", str(base / "run"), *data]) == 0
    return [str(base / "run"), *data]


def test_all_agree(given, capsys):
    assert agreement.main([*given, "--rows", "20"]) == 0
    printed = capsys.readouterr().out
    assert "20 rows" in printed
    for way in ("reloaded", "in Python", "C++", "gRPC:", "REST", "by onnxruntime", "ONNX", "all agree"):
        assert way in printed


def test_a_difference_is_an_error(given, monkeypatch, capsys):
    monkeypatch.setattr(agreement, "agreement", lambda *_: {"gRPC": 2e-6, "ONNX": 2e-5})
    assert agreement.main(given) == 1
    assert "too far apart: ONNX" in capsys.readouterr().out


def test_ranks_the_example(given, capsys):
    assert rank.main(given[:1]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 8
    probabilities = [float(line.split()[1]) for line in lines]
    assert probabilities == sorted(probabilities, reverse=True)


def test_a_run_without_candidates_or_a_wrong_file_is_one_error(given, tmp_path, capsys):
    assert rank.main([str(tmp_path)]) == 2
    assert "example_ranking.json does not exist" in capsys.readouterr().err
    (tmp_path / "asked.json").write_text('{"user_features": {}, "history": {}, "candidates": [{}]}')
    assert rank.main([given[0], str(tmp_path / "asked.json")]) == 2
    assert "user_features: missing" in capsys.readouterr().err
    assert agreement.main([str(tmp_path)]) == 2
    assert "holds no finished run" in capsys.readouterr().err
