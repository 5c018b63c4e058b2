"""The TensorFlow Datasets builder of AmazonElectronics_x1."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import tensorflow_datasets as tfds

from pipelines.datasets.amazon_electronics.schema import MAX_LENGTH, schema
from pipelines.datasets.benchmark_builder import BenchmarkBuilder
from pipelines.datasets.table_blocks import LIST
from pipelines.datasets.tables import DataError

_CITATION = """
@inproceedings{zhou2018din,
  title     = {Deep Interest Network for Click-Through Rate Prediction},
  author    = {Guorui Zhou and Xiaoqiang Zhu and Chengru Song and Ying Fan and Han Zhu and Xiao Ma and Yanghui Yan and
               Junqi Jin and Han Li and Kun Gai},
  booktitle = {Proceedings of the 24th ACM SIGKDD International Conference on Knowledge Discovery and Data Mining},
  year      = {2018},
  doi       = {10.1145/3219819.3219823}
}
"""


class AmazonElectronics(BenchmarkBuilder):
    """AmazonElectronics_x1: which of two goods a user reviews next; see the package's docstring for the rules.

    Example:

    ```python
    builder = AmazonElectronics(data_dir="~/tensorflow_datasets")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir="AmazonElectronics_x1"))
    train = builder.as_dataset(split="train")
    ```
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    FOLDER = "AmazonElectronics_x1"
    HOMEPAGE = "https://huggingface.co/datasets/reczoo/AmazonElectronics_x1"
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put `train.csv` and `test.csv` of {HOMEPAGE} into the manual folder."
    LABELS = ("label",)
    COLUMNS = {
        **dict.fromkeys(("label", "user_id", "item_id", "cate_id"), pl.Int64),
        **dict.fromkeys(("item_history", "cate_history"), LIST),
    }

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Reviews of goods at Amazon, electronics, as the benchmark AmazonElectronics_x1 has them.",
            features=schema().tfds_features(),
            homepage=self.HOMEPAGE,
            citation=_CITATION,
        )

    def _held_out(self, rows: int) -> pl.Expr:
        return pl.col("user_id") % 20 == 0

    def _convert(self, table: pl.DataFrame, path: Path) -> pl.DataFrame:
        lengths = pl.col("item_history").list.len() != pl.col("cate_history").list.len()
        wrong = table.filter(lengths)
        if wrong.height:
            raise DataError(
                f"`{path}`, line {wrong['row'][0] + 2}: `item_history` and `cate_history` must hold as many "
                f"events. Received: {len(wrong['item_history'][0])} and {len(wrong['cate_history'][0])}. Get the file "
                "again."
            )
        return table.select(
            "label",
            "user_id",
            pl.col("item_id", "cate_id").fill_null(-1),
            reviewed_item_id=pl.col("item_history").list.tail(MAX_LENGTH),
            reviewed_cate_id=pl.col("cate_history").list.tail(MAX_LENGTH),
        )
