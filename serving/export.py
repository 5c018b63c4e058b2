"""Export of a `Ranker` as a SavedModel: raw columns in, probabilities and logits out."""

import contextlib
import io
import os
import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf

from tf_interformer._keras import keras, ops
from tf_interformer.ranker import Ranker


def export_saved_model(ranker: Ranker, base: str | os.PathLike, version: int = 1) -> Path:
    """Write `BASE/VERSION`, the layout that TensorFlow Serving polls.

    The signature `serving_default` takes the schema's raw columns by name, as
    `FeatureSchema.signature` gives them: strings, numbers, histories padded on the right with their length.
    It returns `probability` and `logit`, each `[B, 1]`; with several tasks `TASK_probability` and
    `TASK_logit`. The `Preprocessor` is inside; the label is not asked for. `schema.json` lies beside the
    model, in `assets.extra`. Features with `serve_as` are not asked for, and both outputs are corrected for the
    down-sampling of the training split.

    Args:
        ranker: `Ranker`.
        base: Folder of the model; its name is the model's name in TensorFlow Serving.
        version: Number of the version's folder. Defaults to 1.

    Returns:
        The version's folder. It appears whole or not at all.

    Raises:
        FileExistsError: The version exists already.
        ValueError: The version is not a positive integer.
    """
    if version < 1:
        raise ValueError(f"`version` must be a positive integer. Received: {version}")
    target = Path(base) / str(version)
    if target.exists():
        raise FileExistsError(f"{target} exists already: export another version, or remove it first")
    target.parent.mkdir(parents=True, exist_ok=True)
    # A dot keeps TensorFlow Serving from taking the unfinished folder for a version.
    temporary = target.parent / f".{version}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)

    archive = keras.export.ExportArchive()
    archive.track(ranker)
    archive.track(ranker.preprocessor)

    def serve(raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        with ranker.without_xla():
            return named_outputs(ranker.served_logits(raw))

    archive.add_endpoint("serving_default", serve, input_signature=[ranker.schema.signature()])
    with contextlib.redirect_stdout(io.StringIO()):  # it prints every signature
        archive.write_out(os.fspath(temporary))
    extra = temporary / "assets.extra"
    extra.mkdir()
    ranker.schema.to_json(extra / "schema.json")
    temporary.rename(target)
    return target


def named_outputs(logits: dict[str, Any]) -> dict[str, Any]:
    """`probability` and `logit` of each task, prefixed by the task when there are several."""
    outputs = {}
    for task, logit in logits.items():
        prefix = "" if len(logits) == 1 else f"{task}_"
        outputs[f"{prefix}probability"] = ops.sigmoid(logit)
        outputs[f"{prefix}logit"] = logit
    return outputs
