"""A small log of requests of one to twelve items on disk, as TFRecord and as Parquet, by rows and by requests."""

from pathlib import Path

import numpy as np
import polars as pl

from pipelines.record_form import say_requests
from pipelines.request_files import parquet_writer, tfrecord_writer, write_requests
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, Sequence, Vector

SIZES = (1, 7, 2, 12, 5, 3, 9, 4, 1, 6)
ROWS = sum(SIZES)
CANDIDATE = ("item", "tags", "place", "picture")
OF_EXAMPLES = {*CANDIDATE, "importance", "click"}
FILES = ("train-0", "train-1", "validation", "test")


def request_schema() -> FeatureSchema:
    """The schema of `request_rows`, before anything is learned."""
    return FeatureSchema(
        name="requests",
        features=[
            Categorical("item"),
            Categorical("tags", dtype="int64", max_values=3),
            Categorical("place", dtype="int64", serve_as=1),
            Vector("picture", dim=2),
            Categorical("user", dtype="int64", hash_buckets=20),
            Numeric("age"),
        ],
        sequences=[
            Sequence("viewed", fields=[Categorical("item", table="item"), Numeric("ago")], max_length=4, match=["item"])
        ],
        labels=[Label("click")],
        candidate=CANDIDATE,
        group="user",
        request="shown",
        request_dtype="string",
        weight="importance",
    )


def request_rows(seed: int) -> pl.DataFrame:
    """Rows of ten requests, those of one behind each other; some values missing, some lists empty."""
    random = np.random.default_rng(seed)
    count = len(SIZES)
    request = np.repeat(np.arange(count), SIZES)
    events = [int(n) for n in random.integers(0, 7, count)]
    age = random.normal(40, 10, count).astype(np.float32)
    age[3] = np.nan
    items = [[f"item_{i}" for i in random.integers(0, 9, n)] for n in events]
    ago = [random.exponential(9, n).astype(np.float32).tolist() for n in events]
    picture = random.normal(size=(ROWS, 2)).astype(np.float32)
    picture[5] = np.nan
    return pl.DataFrame(
        {
            "shown": [f"{seed}-{i}" for i in request],
            "user": 100 * seed + request // 2,
            "age": age[request],
            "viewed_item": pl.Series([items[i] for i in request], dtype=pl.List(pl.String)),
            "viewed_ago": pl.Series([ago[i] for i in request], dtype=pl.List(pl.Float32)),
            "item": [f"item_{i}" for i in random.integers(0, 9, ROWS)],
            "tags": pl.Series([list(range(n)) for n in random.integers(0, 4, ROWS)], dtype=pl.List(pl.Int64)),
            "place": np.concatenate([np.arange(1, n + 1) for n in SIZES]),
            "picture": pl.Series(picture.tolist(), dtype=pl.List(pl.Float32)),
            "importance": random.integers(1, 4, ROWS).astype(np.float32),
            "click": (random.random(ROWS) < 0.4).astype(np.int64),
        }
    )


def write_folders(base: Path) -> Path:
    """Write `base/tfrecord`, `base/parquet` and, by requests, `base/requests_tfrecord` and `base/requests_parquet`.

    Each with two files of the training split.
    """
    for file_format in ("tfrecord", "parquet"):
        rows, requests = base / file_format, base / f"requests_{file_format}"
        for folder in (rows, requests):
            folder.mkdir(parents=True)
            request_schema().to_json(folder / "schema.json")
        say_requests(requests)
        for seed, name in enumerate(FILES):
            table = request_rows(seed)
            writer = parquet_writer if file_format == "parquet" else tfrecord_writer
            with writer(rows / f"{name}.{file_format}") as write:
                write(table.to_arrow())
            parts = [part.to_arrow() for part in (table.head(17), table.tail(ROWS - 17))]  # a request goes on
            write_requests(parts, request_schema(), requests / f"{name}.{file_format}")
    return base
