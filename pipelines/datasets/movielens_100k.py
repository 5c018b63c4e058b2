"""MovieLens-100k as TensorFlow Datasets' `movielens/100k-ratings` has it, also from the published files.

The terms of GroupLens allow research, and neither commercial use nor redistribution without permission: the data are
not part of this package.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.structured import movielens_parsing

from pipelines.datasets.tables import DataError

FILES = ("u.data", "u.item", "u.user")
_COLUMNS: dict[str, Any] = {
    "movie_id": tf.string,
    "movie_title": tf.string,
    "raw_user_age": tf.float32,
    "timestamp": tf.int64,
    "user_gender": tf.bool,
    "user_id": tf.string,
    "user_occupation_text": tf.string,
    "user_rating": tf.float32,
    "user_zip_code": tf.string,
}


def load_ratings(folder: str | os.PathLike | None = None) -> tf.data.Dataset:
    """Returns the 100,000 ratings, one per element.

    Args:
        folder: Folder with the published `u.data`, `u.item` and `u.user`, which are read by TensorFlow Datasets' own
            parser. Defaults to `ml100k` in the folder that the environment variable `TF_INTERFORMER_DATA` names;
            without that, `tfds.load("movielens/100k-ratings")` downloads them.

    Returns:
        A dataset of dicts with the names and types of `movielens/100k-ratings`, without the columns that TensorFlow
        Datasets derives (genres, age and occupation by class) where the published files are read.

    Raises:
        DataError: A file is missing or broken.

    Example:

    ```python
    for rating in load_ratings().take(3):
        print(rating["user_id"], rating["movie_title"], rating["user_rating"])
    ```
    """
    if folder is None and os.environ.get("TF_INTERFORMER_DATA"):
        folder = Path(os.environ["TF_INTERFORMER_DATA"]) / "ml100k"
    if folder is None:
        return tfds.load("movielens/100k-ratings", split="train")
    folder = Path(folder)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"`{folder}` must hold {', '.join(FILES)} of MovieLens-100k. Received: no {', '.join(missing)}. Unpack "
            "https://files.grouplens.org/datasets/movielens/ml-100k.zip there."
        )
    try:
        rows = [row for _, row in movielens_parsing.parse_100k_ratings_data(os.fspath(folder))]
        columns = {name: [row[name] for row in rows] for name in _COLUMNS}
        for name, convert in {"timestamp": int, "user_rating": float, "raw_user_age": float}.items():
            columns[name] = [convert(value) for value in columns[name]]
    except (KeyError, IndexError, ValueError) as error:
        raise DataError(
            f"The files of MovieLens-100k in `{folder}` are damaged: {type(error).__name__}: {error}. Get them again."
        ) from error
    return tf.data.Dataset.from_tensor_slices(
        {name: tf.constant(values, _COLUMNS[name]) for name, values in columns.items()}
    )
