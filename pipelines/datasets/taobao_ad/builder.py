"""The TensorFlow Datasets builder of TaobaoAd_x1."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import tensorflow_datasets as tfds

from pipelines.datasets.benchmark_builder import BenchmarkBuilder
from pipelines.datasets.table_blocks import LIST
from pipelines.datasets.taobao_ad.schema import AD, CONTEXT, EVENT, MAX_LENGTH, USER, schema

_CITATION = """
@inproceedings{lyu2020dmr,
  title     = {Deep Match to Rank Model for Personalized Click-Through Rate Prediction},
  author    = {Ze Lyu and Yu Dong and Chengfu Huo and Weijun Ren},
  booktitle = {Proceedings of the AAAI Conference on Artificial Intelligence},
  year      = {2020},
  doi       = {10.1609/aaai.v34i01.5346}
}
"""


class TaobaoAd(BenchmarkBuilder):
    """TaobaoAd_x1: clicks on display ads, with what users browsed, put in the cart and bought.

    See the package's docstring for the rules.

    Example:

    ```python
    builder = TaobaoAd(data_dir="~/tensorflow_datasets")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir="TaobaoAd_x1"))
    train = builder.as_dataset(split="train")
    ```
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    FOLDER = "TaobaoAd_x1"
    HOMEPAGE = "https://huggingface.co/datasets/reczoo/TaobaoAd_x1"
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Put `train.csv` and `test.csv` of {HOMEPAGE} into the manual folder."
    LABELS = ("clk",)
    COLUMNS = {
        **dict.fromkeys(("clk", *USER, *AD, *CONTEXT), pl.Int64),
        "price": pl.Float64,
        **{column: LIST for _, column in EVENT.values()},
    }

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Clicks on display ads at Taobao, as the benchmark TaobaoAd_x1 has them.",
            features=schema().tfds_features(),
            homepage=self.HOMEPAGE,
            citation=_CITATION,
            license="CC BY-NC-SA 4.0",
        )

    def _convert(self, table: pl.DataFrame, path: Path) -> pl.DataFrame:
        histories = {name: pl.col(column) for name, (_, column) in EVENT.items()}
        longest = pl.max_horizontal([history.list.len() for history in histories.values()])
        return table.select(
            "clk",
            pl.col("price").fill_null(float("nan")),
            pl.col(*USER, *AD, *CONTEXT).fill_null(-1),
            **{
                f"behaviour_{name}": pl.concat_list(
                    pl.lit(-1, pl.Int64).repeat_by(longest - history.list.len()), history
                ).list.tail(MAX_LENGTH)
                for name, history in histories.items()
            },
        )
