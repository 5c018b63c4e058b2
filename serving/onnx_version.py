"""The ONNX files of an exported version, in its `assets.extra`: what `serving.serve --engine onnxruntime` computes."""

from pathlib import Path
from typing import TYPE_CHECKING

from serving.onnx import OnnxError, convert

if TYPE_CHECKING:
    from tf_interformer.ranker import Ranker

ROWS_FILE = "model.onnx"
REQUESTS_FILE = "requests.onnx"


def write_files(ranker: "Ranker", folder: Path) -> None:
    """Write `model.onnx`, which takes rows, and `requests.onnx`, where the schema names features of the candidates.

    Args:
        ranker: `Ranker`.
        folder: A version's `assets.extra`.

    Raises:
        OnnxError: The model does not convert, or its file gives other scores.
    """
    convert(ranker, folder / ROWS_FILE)
    if ranker.schema.served_candidate:
        convert(ranker, folder / REQUESTS_FILE, by_request=True)


def require_files(version: Path, *names: str) -> None:
    """Raise where files of a version's `assets.extra` are missing.

    Args:
        version: Folder of the version.
        names: Names of the files.

    Raises:
        OnnxError: One is; it says which command writes them.
    """
    missing = [name for name in names if not (version / "assets.extra" / name).is_file()]
    if missing:
        raise OnnxError(
            f"{version / 'assets.extra'} lacks {' and '.join(missing)}: `tf-interformer export RUN --output "
            f"{version.parent} --onnx` writes a version that has them, and --engine tensorflow does without"
        )
