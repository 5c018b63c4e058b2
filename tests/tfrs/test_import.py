"""`tf_interformer.tfrs` says what it needs. Each import has a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NEEDS = "tf_interformer.tfrs needs legacy Keras, as TensorFlow Recommenders does: set the environment variable"
TOO_LATE = "import os, tensorflow as tf; tf.keras.layers; os.environ['TF_USE_LEGACY_KERAS'] = '1'; "


def run(program, legacy):
    return subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"TF_USE_LEGACY_KERAS": legacy},
    )


@pytest.mark.parametrize("before", ["", TOO_LATE], ids=["not set", "set too late"])
def test_without_legacy_keras_there_is_one_error(before):
    errors = run(f"{before}import tf_interformer.tfrs", legacy="0").stderr
    last = errors.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: {NEEDS} TF_USE_LEGACY_KERAS=1 before the first import"), errors
    assert last.endswith("Keras 3 in tensorflow") and errors.count("Error:") == 1


def test_with_legacy_keras_it_is_imported():
    assert run("import tf_interformer.tfrs as t; print(t.RankingModel.__name__)", "1").stdout.strip() == "RankingModel"
