"""The TensorFlow Datasets builder of KuaiRand-Pure."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tensorflow_datasets as tfds

from pipelines.datasets.days import DaysConfig
from pipelines.datasets.kuairand_pure.features import build_table
from pipelines.datasets.kuairand_pure.raw import find_folder, read_tables
from pipelines.datasets.kuairand_pure.schema import LABELS, Features, schema
from pipelines.datasets.table_builder import TableBuilder
from pipelines.datasets.tables import DataError

URL = "https://zenodo.org/records/10439422/files/KuaiRand-Pure.tar.gz"

_DESCRIPTION = """
Impressions of the short-video app Kuaishou with clicks, long views and likes (KuaiRand-Pure), with user, video
and context features, rates of earlier days, and the user's histories of watched, long-watched and liked videos.
"""

_CITATION = """
@inproceedings{gao2022kuairand,
  title     = {KuaiRand: An Unbiased Sequential Recommendation Dataset with Randomly Exposed Videos},
  author    = {Chongming Gao and Shijun Li and Yuan Zhang and Jiawei Chen and Biao Li and Wenqiang Lei and
               Peng Jiang and Xiangnan He},
  booktitle = {Proceedings of the 31st ACM International Conference on Information and Knowledge Management},
  pages     = {3953--3957},
  year      = {2022},
  doi       = {10.1145/3511808.3557624}
}
"""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False)
class KuairandPureConfig(DaysConfig):
    """Which days make which split, and which features an example has.

    Args:
        name: str. Name of the configuration; another one for other days or features.
        train: tuple of two ints. First and last day, such as `(20220425, 20220429)`, both included.
        validation: tuple of two ints. Likewise.
        test: tuple of two ints. Likewise.
        features: `"made"`, `"raw"` or `"both"`, as in `schema`. Defaults to `"made"`.

    Raises:
        ValueError: If the splits are not in this order, or overlap.
    """

    train: tuple[int, int] = (20220425, 20220429)
    validation: tuple[int, int] = (20220430, 20220430)
    test: tuple[int, int] = (20220501, 20220508)
    features: Features = "made"

    @property
    def schema_options(self) -> dict[str, Any]:
        """Arguments of `schema` beside the labels."""
        return {"features": self.features}


class KuairandPure(TableBuilder):
    """KuaiRand-Pure with features that do not look ahead; see the package's docstring for the rules.

    Reads the published CSV files from the manual folder, or downloads them. The examples are flat: the columns
    of `schema`, all three labels, and `date` and `time_ms`, which are no features.

    Example:

    ```python
    builder = KuairandPure(data_dir="~/tensorflow_datasets")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir="KuaiRand-Pure"))
    train = builder.as_dataset(split="train")
    ```
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        KuairandPureConfig(description="Train 25 to 29 April, validation 30 April, test 1 to 8 May 2022."),
        KuairandPureConfig(
            name="raw",
            features="raw",
            description="The same impressions in the same order, with published features and one history alone.",
        ),
        KuairandPureConfig(
            name="both",
            features="both",
            description="The same impressions in the same order, with the history of `raw` and the numbers beside it.",
        ),
    ]
    # Both kinds of features of an impression are then read at the same place.
    EXAMPLES_PER_FILE = 40_000
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Unpack {URL} (see https://kuairand.com; 45 MB, licence CC BY-SA 4.0) into the manual folder, so that it holds
    `data/log_standard_4_22_to_5_08_pure.csv` (and, if you wish, `data/log_standard_4_08_to_4_21_pure.csv`),
    `data/user_features_pure.csv` and `data/video_features_basic_pure.csv`. The folder may also be `data` itself.
    Where no file is found there, the archive is downloaded.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        int64 = tfds.features.Scalar(np.int64)
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=schema(LABELS, **self.builder_config.schema_options).tfds_features(date=int64, time_ms=int64),
            homepage="https://kuairand.com",
            citation=_CITATION,
            license="CC BY-SA 4.0",
        )

    def _split_tables(self, dl_manager: Any) -> Mapping[str, pl.DataFrame]:
        folder = published_folder(dl_manager)
        _log.info("Reading %s ...", folder)
        raw = read_tables(folder)
        days = self.builder_config.splits
        _log.info("Computing the features of %d impressions ...", raw.log.height)
        table = build_table(raw, days["train"][0], days["test"][1], self.builder_config.features)
        splits = self.builder_config.cut(table)
        for name, split in splits.items():
            if not split.height:
                logged = raw.log["date"].sort()
                raise DataError(
                    f"The log in `{folder}` must hold impressions of {days[name][0]} to {days[name][1]} for the split "
                    f"`{name}`. Received: impressions of {logged[0]} to {logged[-1]}. Add the other published log, or "
                    "give other days in a KuairandPureConfig."
                )
        return splits


def published_folder(dl_manager: Any) -> Path:
    """Returns the folder with the published files, and downloads them if there are none.

    Args:
        dl_manager: `tfds.download.DownloadManager`.

    Raises:
        DataError: If the files are neither in the manual folder nor to be had.
    """
    try:
        # TFDS raises AssertionError when the manual folder is not there or is empty.
        return find_folder(dl_manager.manual_dir)
    except (AssertionError, DataError) as error:
        not_manual = error
    _log.info("Downloading %s ...", URL)
    try:
        unpacked = dl_manager.download_and_extract(URL)
    # Whatever goes wrong (no network, a moved file, a broken archive), the user's way out is the same.
    except Exception as error:
        raise DataError(
            f"KuaiRand-Pure is neither in the manual folder nor to be downloaded.\nManual folder: {not_manual}\n"
            f"Download of {URL}: {type(error).__name__}: {error}\n"
            "Unpack the archive by hand and pass its folder: tfds.download.DownloadConfig(manual_dir=...)."
        ) from error
    return find_folder(unpacked)
