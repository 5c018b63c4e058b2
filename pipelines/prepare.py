"""Write a data set of `pipelines.datasets` as plain TFRecord or Parquet files, with its `schema.json`.

    tf-interformer prepare --dataset synthetic_clicks --output data/clicks --format parquet

`pipelines.train` reads such a folder with `dataset.format: parquet` and `--data-dir data/clicks`.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.config import SPLITS, DatasetConfig
from pipelines.datasets import names
from pipelines.options import add_data, add_output
from tf_interformer.command import command_parser, run_command
from tf_interformer.errors import UserError
from tf_interformer.schema import FeatureSchema
from tf_interformer.whole import whole_folder

if TYPE_CHECKING:
    from pipelines.input import Source

_ROWS_AT_ONCE = 16_384


def prepare(
    dataset: str,
    output: str,
    file_format: str,
    data_dir: str | None = None,
    prepared_dir: str | None = None,
    builder_config: str | None = None,
) -> None:
    """Write every split and the schema; see the module's text.

    Raises:
        UserError: The output folder exists already.
    """
    from pipelines.input import open_source

    target = Path(output)
    if target.exists():
        raise UserError(f"{target} exists already: give another --output, or remove it first")
    source = open_source(DatasetConfig(name=dataset, builder_config=builder_config), data_dir, prepared_dir)
    with whole_folder(target) as temporary:
        temporary.mkdir()
        for split in SPLITS:
            if file_format == "parquet":
                write_parquet(source, split, temporary / f"{split}.parquet")
            else:
                files = source.files[split]
                for index, name in enumerate(files):
                    shutil.copyfile(name, temporary / f"{split}-{index:05d}-of-{len(files):05d}.tfrecord")
            print(f"{split}: written")
        source.schema.to_json(temporary / "schema.json")
    print(f"{target} holds schema.json and the splits")


def write_parquet(source: "Source", split: str, path: Path) -> None:
    """Write one split as a Parquet file, histories and multi-valued features as lists."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    for batch in source.raw_batches(split, _ROWS_AT_ONCE).as_numpy_iterator():
        table = pa.table(_columns(source.schema, batch) | {name: batch[name] for name in source.extras})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _columns(schema: FeatureSchema, batch: dict[str, np.ndarray]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for column in schema.raw_columns:
        values = batch[column.name]
        if column.kind == "length":
            continue
        if column.kind == "vector":
            columns[column.name] = list(values)
        elif column.kind == "values":
            missing = column.missing.encode() if isinstance(column.missing, str) else column.missing
            columns[column.name] = _lists(values, (values != missing).sum(axis=1))
        elif column.length is not None:
            columns[column.name] = _lists(values, batch[column.length])
        else:
            columns[column.name] = values.astype(np.int64) if column.kind == "label" else _text(values)
    return columns


def _lists(values: np.ndarray, lengths: np.ndarray) -> Any:
    import pyarrow as pa

    real = np.arange(values.shape[1])[None] < lengths[:, None]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(_text(values[real])))


def _text(values: np.ndarray) -> np.ndarray:
    if values.dtype != object:
        return values
    return np.array([value.decode() for value in values], object)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("prepare", __doc__)
    parser.add_argument("--dataset", required=True, metavar="NAME", help=f"one of {', '.join(names())}")
    add_output(parser, "folder to write; must not exist")
    parser.add_argument("--format", required=True, choices=("tfrecord", "parquet"), help="of the files")
    parser.add_argument("--builder-config", metavar="NAME", help="named configuration of the builder")
    add_data(parser)
    given = parser.parse_args(arguments)
    return run_command(
        lambda: prepare(
            given.dataset, given.output, given.format, given.data_dir, given.prepared_dir, given.builder_config
        )
    )


if __name__ == "__main__":
    sys.exit(main())
