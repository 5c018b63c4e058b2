"""The movie-ratings programs of docs/tfrs.md, before and after, on MovieLens-100k."""

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipelines.datasets.movielens_100k import load_ratings
from pipelines.datasets.tables import DataError
from tf_interformer._keras import LEGACY

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture
def folder(data_dir):
    if not (data_dir / "ml100k" / "u.data").is_file():
        pytest.skip("needs MovieLens-100k: u.data, u.item and u.user in TF_INTERFORMER_DATA/ml100k")
    return data_dir / "ml100k"


def test_guide_shows_the_difference_of_the_two_programs():
    programs = [(EXAMPLES / f"tfrs_ranking_{when}.py").read_text().splitlines() for when in ("before", "after")]
    names = [f"docs/examples/tfrs_ranking_{when}.py" for when in ("before", "after")]
    difference = "\n".join(difflib.unified_diff(*programs, *names, n=1, lineterm=""))
    shown = re.search(r"^```diff\n(.*?)\n```", (ROOT / "docs" / "tfrs.md").read_text(), re.MULTILINE | re.DOTALL)
    assert shown is not None and shown[1] == difference


def test_ratings_are_those_that_were_published(folder):
    ratings = load_ratings(folder)
    assert len(ratings) == 100_000
    columns = next(ratings.batch(100_000).as_numpy_iterator())
    assert len(set(columns["user_id"])) == 943 and len(set(columns["movie_id"])) == 1682
    assert sorted(set(columns["user_rating"])) == [1, 2, 3, 4, 5]
    assert columns["user_rating"].mean() == pytest.approx(3.52986)
    first = {name: values[0] for name, values in columns.items()}
    assert (first["user_id"], first["movie_title"], first["user_rating"]) == (b"196", b"Kolya (1996)", 3.0)
    assert (first["timestamp"], first["raw_user_age"], first["user_gender"]) == (881250949, 49.0, True)


def test_names_and_types_are_those_of_tensorflow_datasets(folder, tmp_path):
    import tensorflow_datasets as tfds

    features = tfds.builder("movielens/100k-ratings", data_dir=tmp_path).info.features
    for name, spec in load_ratings(folder).element_spec.items():
        assert (spec.shape, spec.dtype) == (features[name].shape, features[name].tf_dtype), name


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"must hold u.data, u.item, u.user of MovieLens-100k. Received: no u.data"):
        load_ratings(tmp_path)
    (tmp_path / "u.user").write_text("1|24|M|writer|85711\n")
    (tmp_path / "u.item").write_text("1|Toy Story (1995)|01-Jan-1995||url|0|0|0|1\n")
    for line in ("1\t1\t5\n", "1\t7\t5\t881250949\n", "<html>\n"):
        (tmp_path / "u.data").write_text(line)
        with pytest.raises(DataError, match=r"files of MovieLens-100k in .* are damaged: (Value|Key)Error"):
            load_ratings(tmp_path)
    (tmp_path / "u.data").write_text("1\t1\t5\t881250949\n")
    row = next(load_ratings(tmp_path).as_numpy_iterator())
    assert (row["movie_title"], row["user_rating"]) == (b"Toy Story (1995)", 5.0)


@pytest.mark.skipif(not LEGACY, reason="TensorFlow Recommenders needs TF_USE_LEGACY_KERAS=1")
@pytest.mark.parametrize("when", ["before", "after"])
def test_programs_learn_and_export(folder, tmp_path, when):
    run = subprocess.run(
        [sys.executable, EXAMPLES / f"tfrs_ranking_{when}.py", tmp_path / "export", "1", "1"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    found = re.search(r"test RMSE (\d\.\d+)", run.stdout)
    assert found, run.stderr[-2000:]
    assert float(found[1]) < 1.05  # to predict the mean rating always: 1.125
    served = tf.saved_model.load(str(tmp_path / "export"))
    asked = {"user_id": tf.constant([b"196", b"nobody"]), "movie_title": tf.constant([b"Kolya (1996)"] * 2)}
    ratings = served(asked, training=False).numpy()
    assert ratings.shape == (2, 1) and np.all((ratings > 0) & (ratings < 6))
