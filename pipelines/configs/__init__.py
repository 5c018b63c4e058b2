"""Configurations of `pipelines.train` and `pipelines.ablate`, which go by their names, too."""

import os
from pathlib import Path

from tf_interformer._suggestions import did_you_mean


def names(kind: str = "") -> list[str]:
    """The configurations that the package brings.

    Args:
        kind: `"compare"` or `"ablations"`; of training runs when empty.
    """
    return sorted(path.stem for path in (Path(__file__).parent / kind).glob("*.yaml"))


def find(given: str | os.PathLike[str], kind: str = "") -> Path:
    """The file, or where there is none so called, the package's configuration of this name.

    Args:
        given: A path, or one of `names(kind)`.
        kind: As for `names`.

    Raises:
        FileNotFoundError: There is neither.
    """
    path, known = Path(given), names(kind)
    if not path.is_file() and str(given) in known:
        return Path(__file__).parent / kind / f"{given}.yaml"
    if not path.exists():
        raise FileNotFoundError(
            None, f"No such file, and the package brings {', '.join(known)}.{did_you_mean(path.stem, known)}"
        )
    return path
