"""The TensorFlow Datasets builder of Globo.com."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import tensorflow_datasets as tfds

from pipelines.datasets.days import DaysConfig
from pipelines.datasets.globo.features import build_table
from pipelines.datasets.globo.raw import HOMEPAGE, find_folder, read_tables
from pipelines.datasets.globo.schema import schema
from pipelines.datasets.table_builder import TableBuilder
from pipelines.datasets.tables import DataError

_CITATION = """
@inproceedings{moreira2018chameleon,
  title     = {News Session-Based Recommendations using Deep Neural Networks},
  author    = {Gabriel de Souza Pereira Moreira and Felipe Ferreira and Adilson Marques da Cunha},
  booktitle = {Proceedings of the 3rd Workshop on Deep Learning for Recommender Systems},
  year      = {2018},
  doi       = {10.1145/3270323.3270328}
}
"""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False)
class GloboConfig(DaysConfig):
    """Which days make which split, how many negatives a click gets, and whose clicks are requests.

    Args:
        name: str. Name of the configuration.
        train: tuple of two ints. First and last day, such as `(20171011, 20171014)`, both included.
        validation: tuple of two ints. Likewise.
        test: tuple of two ints. Likewise.
        negatives: int. Negatives per click, at most. Defaults to 4.
        users: int. Percent of the users whose clicks are requests: those whose id has a hash that, divided by 100,
            leaves less than this. Defaults to 100.

    Raises:
        ValueError: If the splits are not in this order, or overlap, `negatives` is below 1, or `users` is none of 1 to
            100.
    """

    train: tuple[int, int] = (20171011, 20171014)
    validation: tuple[int, int] = (20171015, 20171015)
    test: tuple[int, int] = (20171016, 20171016)
    negatives: int = 4
    users: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.negatives < 1:
            raise ValueError(f"`negatives` must be at least 1. Received: {self.negatives}")
        if not 1 <= self.users <= 100:
            raise ValueError(f"`users` must be a percentage from 1 to 100. Received: {self.users}")


class Globo(TableBuilder):
    """Clicks on news with sampled negatives; see the package's docstring for the rules.

    Reads the published files from the manual folder: Kaggle gives them to registered users only. The examples are
    flat: the columns of `schema()`, and `date` and `time_ms`, which are no features.

    Example:

    ```python
    builder = Globo(data_dir="~/tensorflow_datasets")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir="globo"))
    train = builder.as_dataset(split="train")
    ```
    """

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {
        "1.0.0": "First release.",
        "1.1.0": "Ages of the events of the history; an article's clicks in the day before; a share of the users.",
    }
    BUILDER_CONFIGS = [
        GloboConfig(description="Train 11 to 14 October 2017, validation 15, test 16; four negatives per click."),
        GloboConfig(
            name="two_weeks",
            train=(20171002, 20171014),
            description="Train 2 to 14 October 2017, validation 15, test 16; four negatives per click.",
        ),
        GloboConfig(
            name="tenth",
            users=10,
            description="The examples of the default configuration that belong to a tenth of the users.",
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Unpack {HOMEPAGE} into the manual folder, so that it holds `articles_metadata.csv` and, from clicks.zip,
    `clicks/clicks_hour_000.csv` and so on.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        int64 = tfds.features.Scalar(np.int64)
        return tfds.core.DatasetInfo(
            builder=self,
            description="Clicks on the articles of the news portal G1 of Globo.com, with sampled negatives.",
            features=schema().tfds_features(date=int64, time_ms=int64),
            homepage=HOMEPAGE,
            citation=_CITATION,
            license="No commercial use; academic purposes only.",
        )

    def _split_tables(self, dl_manager: Any) -> Mapping[str, pl.DataFrame]:
        try:
            # TFDS raises AssertionError when the manual folder is not there or is empty.
            folder = find_folder(dl_manager.manual_dir)
        except AssertionError as error:
            raise DataError(
                f"There is no folder with the files of Globo.com: {error} Download {HOMEPAGE}, unpack it and pass its "
                "folder (`--data-dir`, or `manual_dir` in Python)."
            ) from None
        _log.info("Reading %s ...", folder)
        raw = read_tables(folder)
        config = self.builder_config
        days = config.splits
        _log.info("Computing examples of %d clicks ...", raw.clicks.height)
        table = build_table(raw, days["train"][0], days["test"][1], config.negatives, config.users)
        splits = config.cut(table)
        for name, split in splits.items():
            if not split.height:
                raise DataError(
                    f"The clicks in `{folder}` must give examples of {days[name][0]} to {days[name][1]} for the split "
                    f"`{name}`. Received: none. Get all files of the log, or give other days in a GloboConfig."
                )
        return splits
