"""What the data sets of the public benchmark of click-through-rate models have in common."""

from __future__ import annotations

import abc
import dataclasses
import logging
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl
import tensorflow_datasets as tfds
from polars.datatypes import DataType, DataTypeClass

from pipelines.datasets.table_blocks import count_rows, read_blocks
from pipelines.datasets.table_builder import TableBuilder
from pipelines.datasets.tables import DataError

_log = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False)
class BenchmarkConfig(tfds.core.BuilderConfig):
    """Where the validation split comes from; the published files are `train.csv` and `test.csv`.

    Args:
        name: str. Name of the configuration.
        validation: str. `"held_out"`: `valid.csv` where there is one, else a twentieth of `train.csv`. `"test"`: the
            test file, on which the benchmark's own runs stop early: their figures are optimistic, and so are
            figures of this configuration. Defaults to `"held_out"`.
    """

    name: str = "held_out"
    validation: Literal["held_out", "test"] = "held_out"


CONFIGS = [
    BenchmarkConfig(description="Validation: valid.csv, or a twentieth of train.csv."),
    BenchmarkConfig(
        name="as_benchmark",
        validation="test",
        description="All of train.csv for training; validation is the test file, as in the benchmark.",
    ),
]


class BenchmarkBuilder(TableBuilder):
    """Base of the builders that read `train.csv` and `test.csv` in the layout of the benchmark, block by block.

    A subclass says what the columns are, what becomes of a block of rows, and which rows are held out.
    """

    BUILDER_CONFIGS = CONFIGS
    FOLDER: str
    HOMEPAGE: str
    COLUMNS: Mapping[str, DataType | DataTypeClass]
    LABELS: tuple[str, ...]

    @abc.abstractmethod
    def _convert(self, table: pl.DataFrame, path: Path) -> pl.DataFrame:
        """Returns the columns of the features for some rows of the file at `path`."""

    def _held_out(self, rows: int) -> pl.Expr:
        """Which rows of `train.csv`, of which there are so many, are for validation: its last twentieth."""
        return pl.col("row") >= rows - rows // 20

    def _read_beside(self, folder: Path) -> None:
        """Reads what else the folder holds, before the tables."""

    def _split_tables(self, dl_manager: Any) -> Mapping[str, Iterator[pl.DataFrame]]:
        folder = benchmark_folder(dl_manager, self.FOLDER, self.HOMEPAGE)
        train, valid, test = (folder / f"{name}.csv" for name in ("train", "valid", "test"))
        self._read_beside(folder)
        if self.builder_config.validation == "test":
            return {"train": self._tables(train), "validation": self._tables(test), "test": self._tables(test)}
        if valid.is_file():
            return {"train": self._tables(train), "validation": self._tables(valid), "test": self._tables(test)}
        held_out = self._held_out(count_rows(train))
        tables = partial(self._tables, train)
        return {"train": tables(~held_out), "validation": tables(held_out), "test": self._tables(test)}

    def _tables(self, path: Path, chosen: pl.Expr | None = None) -> Iterator[pl.DataFrame]:
        _log.info("Reading %s ...", path)
        found = False
        for table in read_blocks(path, self.COLUMNS, required=self.LABELS):
            for label in self.LABELS:
                wrong = table.filter(~pl.col(label).is_in([0, 1]))
                if wrong.height:
                    raise DataError(
                        f"`{path}`, line {wrong['row'][0] + 2}: column `{label}` must hold 0 or 1. "
                        f"Received: {wrong[label][0]}. Correct the cell or get the file again."
                    )
            rows = table if chosen is None else table.filter(chosen)
            if rows.height:
                found = True
                yield self._convert(rows, path)
        if not found:
            raise DataError(
                f"`{path}` has too few rows to hold a twentieth of them out for validation. Get the complete file, put "
                "a `valid.csv` beside it, or use the configuration `as_benchmark`."
            )


def benchmark_folder(dl_manager: Any, name: str, homepage: str) -> Path:
    """Returns the folder with `train.csv` and `test.csv`.

    Args:
        dl_manager: `tfds.download.DownloadManager`.
        name: str. Name of the data set, which the folder may have as well.
        homepage: str. Where the files are.

    Raises:
        DataError: If there is no such folder, or it lacks one of them.
    """
    ending = f"Download the files from {homepage} and pass their folder (`--data-dir`, or `manual_dir` in Python)."
    try:
        # TFDS raises AssertionError when the manual folder is not there or is empty.
        manual = Path(dl_manager.manual_dir)
    except AssertionError as error:
        raise DataError(f"There is no folder with the files of {name}: {error} {ending}") from None
    for folder in (manual, manual / name):
        there = [(folder / f"{split}.csv").is_file() for split in ("train", "test")]
        if all(there):
            return folder
        if any(there):
            missing = "test.csv" if there[0] else "train.csv"
            raise DataError(f"`{folder}` must hold train.csv and test.csv of {name}. Received: no {missing}. {ending}")
    raise DataError(f"`{manual}` must hold train.csv and test.csv of {name}. Received: neither. {ending}")
