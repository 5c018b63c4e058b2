"""The TensorFlow Datasets builder of KuaiVideo_x1."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import tensorflow_datasets as tfds

from pipelines.datasets.benchmark_builder import BenchmarkBuilder
from pipelines.datasets.kuaivideo.schema import HISTORIES, LABELS, MAX_LENGTH, VISUAL_DIM, schema
from pipelines.datasets.kuaivideo.vectors import ItemVectors
from pipelines.datasets.table_blocks import LIST

VECTORS = "item_visual_emb_dim64.h5"

_CITATION = """
@inproceedings{li2019alpine,
  title     = {Routing Micro-videos via A Temporal Graph-guided Recommendation System},
  author    = {Yongqi Li and Meng Liu and Jianhua Yin and Chaoran Cui and Xin-Shun Xu and Liqiang Nie},
  booktitle = {Proceedings of the 27th ACM International Conference on Multimedia},
  year      = {2019},
  doi       = {10.1145/3343031.3350950}
}
"""


class KuaiVideo(BenchmarkBuilder):
    """KuaiVideo_x1: clicks on short videos, with the look of each video as a vector.

    See the package's docstring for the rules.

    Example:

    ```python
    builder = KuaiVideo(data_dir="~/tensorflow_datasets")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir="KuaiVideo_x1"))
    train = builder.as_dataset(split="train")
    ```
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    FOLDER = "KuaiVideo_x1"
    HOMEPAGE = "https://huggingface.co/datasets/reczoo/KuaiVideo_x1"
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put `train.csv`, `test.csv` and `{VECTORS}` of {HOMEPAGE} into the manual folder."
    LABELS = LABELS
    COLUMNS = {
        **dict.fromkeys(("user_id", "item_id", *LABELS), pl.Int64),
        **dict.fromkeys(HISTORIES.values(), LIST),
    }

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Clicks on short videos at Kuaishou, as the benchmark KuaiVideo_x1 has them.",
            features=schema(labels=None).tfds_features(),
            homepage=self.HOMEPAGE,
            citation=_CITATION,
        )

    def _read_beside(self, folder: Path) -> None:
        self._vectors = ItemVectors(folder / VECTORS)

    def _convert(self, table: pl.DataFrame, path: Path) -> pl.DataFrame:
        items = table["item_id"].fill_null(-1)
        visual = pl.Series(self._vectors.of(items.to_numpy()), dtype=pl.Array(pl.Float32, VISUAL_DIM))
        return table.select(
            *LABELS,
            pl.col("user_id", "item_id").fill_null(-1),
            item_visual=visual.arr.to_list(),
            **{f"{name}_item_id": pl.col(column).list.tail(MAX_LENGTH) for name, column in HISTORIES.items()},
        )
