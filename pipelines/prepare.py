"""Write a data set of `pipelines.datasets` as plain TFRecord or Parquet files, with its `schema.json`.

    tf-interformer prepare --dataset synthetic_clicks --output data/clicks --format parquet

`pipelines.train` reads such a folder with `dataset.format: parquet` and `--data-dir data/clicks`. With `--by-request` a
record is a request, its user once and all its items: smaller files, which are read by requests.
"""

import shutil
import sys
from collections.abc import Iterator, Sequence
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
    by_request: bool = False,
) -> None:
    """Write every split and the schema; see the module's text.

    Raises:
        UserError: The output folder exists already; or, of requests, the schema does not say what one is, or rows of
            one differ in what is the user's.
    """
    from pipelines.input import open_source
    from pipelines.record_form import say_requests
    from pipelines.request_files import write_requests
    from tf_interformer.requests import check_requests

    target = Path(output)
    if target.exists():
        raise UserError(f"{target} exists already: give another --output, or remove it first")
    source = open_source(DatasetConfig(name=dataset, builder_config=builder_config), data_dir, prepared_dir)
    if by_request:
        check_requests(source.schema)
    with whole_folder(target) as temporary:
        temporary.mkdir()
        for split in SPLITS:
            if by_request:
                told = write_requests(
                    _tables(source, split, in_turns=False), source.schema, temporary / f"{split}.{file_format}"
                )
                print(f"{split}: {told}")
                continue
            if file_format == "parquet":
                write_parquet(source, split, temporary / f"{split}.parquet")
            else:
                files = source.files[split]
                for index, name in enumerate(files):
                    shutil.copyfile(name, temporary / f"{split}-{index:05d}-of-{len(files):05d}.tfrecord")
            print(f"{split}: written")
        if by_request:
            say_requests(temporary)
        source.schema.to_json(temporary / "schema.json")
    print(f"{target} holds schema.json and the splits")


def write_parquet(source: "Source", split: str, path: Path) -> None:
    """Write one split as a Parquet file, histories and multi-valued features as lists."""
    from pipelines.request_files import parquet_writer

    with parquet_writer(path) as write:
        for table in _tables(source, split, in_turns=True):
            write(table)


def _tables(source: "Source", split: str, in_turns: bool) -> Iterator[Any]:
    import pyarrow as pa

    for batch in source.raw_batches(split, _ROWS_AT_ONCE, in_turns=in_turns).as_numpy_iterator():
        yield pa.table(_columns(source.schema, batch) | {name: batch[name] for name in source.extras})


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
    # Where no row of a batch holds any, nothing else would say of which type they are.
    text = pa.string() if values.dtype == object else None
    return pa.ListArray.from_arrays(offsets, pa.array(_text(values[real]), text))


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
    parser.add_argument("--by-request", action="store_true", help="write a record for each request, not each row")
    parser.add_argument("--builder-config", metavar="NAME", help="named configuration of the builder")
    add_data(parser)
    given = parser.parse_args(arguments)
    return run_command(
        lambda: prepare(
            given.dataset,
            given.output,
            given.format,
            given.data_dir,
            given.prepared_dir,
            given.builder_config,
            given.by_request,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
