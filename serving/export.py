"""Export the model of a finished run as a SavedModel that TensorFlow Serving loads.

    tf-interformer export runs/demo --output models/demo

Writes `models/demo/N` under a temporary name and renames it: a server that polls the folder never sees half a
version. See docs/serving.md for the signatures.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from serving.onnx import OnnxError, require_packages
from serving.onnx_version import write_files
from tf_interformer.command import add_run, command_parser, run_command
from tf_interformer.errors import UserError
from tf_interformer.run_directory import RunDirectory

if TYPE_CHECKING:
    from tf_interformer.ranker import Ranker

# Rows on which the scores before and after are compared.
_COMPARED = 1000


def export(
    run_path: str,
    output: str,
    version: int | None = None,
    compress_rank: int | None = None,
    table_dtype: str | None = None,
    onnx: bool = False,
) -> None:
    """Export a run's model; see the module's text.

    Raises:
        UserError: The folder holds no finished run, the version exists, or the model cannot be exported so.
    """
    from tf_interformer.compression import low_rank
    from tf_interformer.export.example_rows import example_rows
    from tf_interformer.export.float32 import for_serving, in_float32

    if onnx:
        require_packages()
    run = RunDirectory(run_path)
    run.finished()
    ranker = run.load_model()
    trained = smaller = for_serving(ranker)
    rows = example_rows(trained.schema, _COMPARED)
    if compress_rank is not None:
        try:
            smaller, report = low_rank(smaller, rank=compress_rank, batch=trained.preprocessor(rows, serving=True))
        except ValueError as error:
            raise UserError(f"{run.model}: --compress-rank {compress_rank}: {error}") from None
        print(report.table())
    if table_dtype is not None:
        smaller = in_float32(smaller, table_dtype)
    if smaller is not trained:
        _compare(trained, smaller, rows)
    try:
        target = _export(smaller, output, version, onnx)
    except FileExistsError as error:
        raise UserError(f"--version: {error}") from None
    except OnnxError as error:
        raise UserError(f"{run.model}: --onnx: {error}") from None
    except ValueError as error:
        raise UserError(f"{run.model}: {error}") from None
    if not smaller.schema.served_candidate:
        print("no signature score_candidates: the run's schema does not say which features describe the candidates")
    print(f"{target} is written")


def _export(ranker: "Ranker", output: str, version: int | None, onnx: bool) -> Path:
    from tf_interformer.export.saved_model import export_saved_model, next_version

    while True:
        number = next_version(output) if version is None else version
        try:
            return export_saved_model(ranker, output, number, beside=write_files if onnx else None)
        except FileExistsError:
            # Without a number of its own, an export that another one was faster than takes the next.
            if version is not None or next_version(output) == number:
                raise


def _compare(before: "Ranker", after: "Ranker", rows: dict[str, np.ndarray]) -> None:
    from tf_interformer.export.float32 import weight_bytes

    old, new = before.score(rows), after.score(rows)
    worst = max(float(np.abs(new[task] - old[task]).max()) for task in old)
    if not np.isfinite(worst):
        raise UserError("the smaller model's scores are not finite: export with --narrow-tables bfloat16, or without")
    print(
        f"weights: {weight_bytes(before):,} -> {weight_bytes(after):,} bytes; probabilities of {_COMPARED:,} "
        f"generated rows differ by at most {worst:.2e}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("export", __doc__)
    add_run(parser)
    parser.add_argument("--output", required=True, metavar="BASE", help="folder of the model, as the server polls it")
    parser.add_argument("--version", type=int, metavar="N", help="version to write (default: the next free number)")
    parser.add_argument(
        "--compress-rank",
        type=int,
        metavar="R",
        help="rank of the composite projections of a Hiformer, without training",
    )
    parser.add_argument(
        "--narrow-tables",
        nargs="?",
        const="float16",
        choices=("float16", "bfloat16"),
        help="store the embedding tables in half precision (default: float16)",
    )
    help_text = "write ONNX files beside the model, in float32, for `tf-interformer serve --engine onnxruntime`"
    parser.add_argument("--onnx", action="store_true", help=help_text)
    given = parser.parse_args(arguments)
    return run_command(
        lambda: export(given.run, given.output, given.version, given.compress_rank, given.narrow_tables, given.onnx)
    )


if __name__ == "__main__":
    sys.exit(main())
