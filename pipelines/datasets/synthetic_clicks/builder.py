"""The TensorFlow Datasets builder of the simulated click log."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import tensorflow_datasets as tfds

from pipelines.datasets.synthetic_clicks.schema import PROBABILITY_COLUMNS, schema
from pipelines.datasets.synthetic_clicks.simulate import simulate, split_by_time
from pipelines.datasets.table_builder import TableBuilder


@dataclasses.dataclass(eq=False)
class SyntheticClicksConfig(tfds.core.BuilderConfig):
    """How much to simulate.

    Args:
        name: str. Name of the configuration; another one for another size or seed.
        num_examples: int. Impressions in all splits together, at least 100, so that no split is empty. Defaults
            to 130,000.
        seed: int. Seed of the log. Defaults to 0.
        list_size: int. Items that a user is shown at once, see `simulate`. Defaults to 1.

    Raises:
        ValueError: If `num_examples` is below 100.
    """

    name: str = "default"
    num_examples: int = 130_000
    seed: int = 0
    list_size: int = 1

    def __post_init__(self) -> None:
        if self.num_examples < 100:
            raise ValueError(f"`num_examples` must be at least 100. Received: {self.num_examples}")

    @property
    def schema_options(self) -> dict[str, bool]:
        """Further arguments of `schema`."""
        return {"lists": self.list_size > 1}


class SyntheticClicks(TableBuilder):
    """The simulated click log of `pipelines.datasets.synthetic_clicks`; nothing is downloaded.

    The examples are flat: the columns of `schema()`, both labels, and beside them `timestamp` and the true
    probabilities `probability_is_click` and `probability_is_purchase`, which are no features.

    Example:

    ```python
    builder = SyntheticClicks(config="small", data_dir="~/tensorflow_datasets")
    builder.download_and_prepare()
    train = builder.as_dataset(split="train")
    ```
    """

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {
        "1.0.0": "First release.",
        "1.1.0": "Twenty categories; the last two views decide the appeal of five features.",
    }
    BUILDER_CONFIGS = [
        SyntheticClicksConfig(description="130,000 impressions: trains in a minute or two on two cores."),
        SyntheticClicksConfig(
            name="fresh", seed=1, description="Another log of the same size, for figures: no setting was chosen on it."
        ),
        SyntheticClicksConfig(name="tiny", num_examples=2_000, description="2,000 impressions, for tests."),
        SyntheticClicksConfig(name="small", num_examples=20_000, description="20,000 impressions."),
        SyntheticClicksConfig(name="lists", list_size=10, description="13,000 lists of ten items."),
        SyntheticClicksConfig(
            name="few_lists", num_examples=4_000, list_size=10, description="400 lists of ten items, for tests."
        ),
        SyntheticClicksConfig(name="large", num_examples=1_000_000, description="1,000,000 impressions."),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        probability = tfds.features.Scalar(np.float32)
        return tfds.core.DatasetInfo(
            builder=self,
            description="A simulated click log of a shop, of which the true click probabilities are known.",
            features=schema(labels=None, **self.builder_config.schema_options).tfds_features(
                timestamp=tfds.features.Scalar(np.int64), **dict.fromkeys(PROBABILITY_COLUMNS.values(), probability)
            ),
        )

    def _split_tables(self, dl_manager: Any) -> Mapping[str, pl.DataFrame]:
        config = self.builder_config
        log = simulate(config.num_examples, config.seed, list_size=config.list_size)
        return {split: to_table(columns) for split, columns in split_by_time(log).items()}


def to_table(columns: Mapping[str, np.ndarray]) -> pl.DataFrame:
    """Makes a table of a raw batch of `simulate`: padded arrays become lists, lengths go.

    Args:
        columns: dict. What `simulate` or one split of `split_by_time` returned.
    """
    lengths = {s.column(f.name): columns[s.length_column] for s in schema().sequences for f in s.fields}
    table: dict[str, Any] = {}
    for name, values in columns.items():
        if values.ndim == 2:
            length = lengths[name] if name in lengths else (values != "").sum(axis=1)
            there = np.arange(values.shape[1]) < length[:, None]
            ends = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
            table[name] = pl.from_arrow(pa.LargeListArray.from_arrays(ends, pa.array(values[there])))
        elif name not in {s.length_column for s in schema().sequences}:
            table[name] = pl.Series(name, values.tolist() if values.dtype == object else values)
    return pl.DataFrame(table)
