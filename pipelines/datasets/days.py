"""Splits by day."""

from __future__ import annotations

import dataclasses

import polars as pl
import tensorflow_datasets as tfds


@dataclasses.dataclass(eq=False)
class DaysConfig(tfds.core.BuilderConfig):
    """Base of the configurations that say which days make which split; a derived class has the defaults.

    Args:
        name: str. Name of the configuration; another one for other days.
        train: tuple of two ints. First and last day, such as `(20220425, 20220429)`, both included.
        validation: tuple of two ints. Likewise.
        test: tuple of two ints. Likewise.

    Raises:
        ValueError: If the splits are not in this order, or overlap.
    """

    name: str = "by_date"
    train: tuple[int, int] = dataclasses.field(kw_only=True)
    validation: tuple[int, int] = dataclasses.field(kw_only=True)
    test: tuple[int, int] = dataclasses.field(kw_only=True)

    def __post_init__(self) -> None:
        days = [*self.train, *self.validation, *self.test]
        gaps = zip((self.train, self.validation), (self.validation, self.test), strict=True)
        if days != sorted(days) or any(before[1] >= after[0] for before, after in gaps):
            raise ValueError(
                "Days must increase from the first of `train` to the last of `test`, and no two splits may share "
                f"one. Received: train={self.train}, validation={self.validation}, test={self.test}."
            )

    @property
    def splits(self) -> dict[str, tuple[int, int]]:
        """First and last day by split."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def cut(self, table: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """The rows of each split, by the column `date`."""
        return {name: table.filter(pl.col("date").is_between(*span)) for name, span in self.splits.items()}
