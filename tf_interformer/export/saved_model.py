"""The folder that TensorFlow Serving polls."""

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tf_interformer._keras import keras
from tf_interformer._signature_names import name_inputs
from tf_interformer.export._signatures import METHOD_NAMES, signatures
from tf_interformer.export._stock_ops import check_stock_operations
from tf_interformer.export._warmup import write_warmup
from tf_interformer.export.float32 import for_serving
from tf_interformer.ranker import Ranker
from tf_interformer.whole import whole_folder


def export_saved_model(
    ranker: Ranker,
    base: str | os.PathLike,
    version: int = 1,
    say: Callable[[str], None] = print,
    beside: Callable[[Ranker, Path], object] | None = None,
) -> Path:
    """Write `BASE/VERSION`, the layout that TensorFlow Serving polls.

    The signature `serving_default` takes the schema's raw columns by name, as
    `FeatureSchema.signature` gives them: strings, numbers, histories padded on the right with their length.
    It returns `probability` and `logit`, each `[B, 1]`; with several tasks `TASK_probability` and
    `TASK_logit`. The `Preprocessor` is inside; the label is not asked for. Features with `serve_as` are not asked
    for, and both outputs are corrected for the down-sampling of the training split. Beside it there are

    - `serve_examples`: the same from serialised `tf.train.Example`s, `examples` `[B]`,
    - `score_candidates`: the same for one user and N items, where the schema names `candidate` features: the user's
      columns have one row, the items' N; the outputs are `[N, 1]`,
    - `embed_user` and `score_known_user`, where the model computes a part for the user whoever the candidates are
      (`Backbone.caches_users`): the user's state, for a cache, and `score_candidates` that takes one row of it beside
      the columns,
    - `embed`: `representation` `[B, R]`, the backbone's output; with several tasks `TASK_representation`,
    - `classify` and `regress`: TensorFlow Serving's Classify and Regress calls for the first task, from serialised
      examples, `inputs`: `scores` `[B, 2]` of the `classes` "0" and "1", and `outputs` `[B, 1]`.

    `schema.json` lies beside the model, in `assets.extra`, and so does `tf_serving_warmup_requests` where
    `tensorflow-serving-api` is installed. A model that computes in half precision is exported in float32.

    Args:
        ranker: `Ranker`.
        base: Folder of the model; its name is the model's name in TensorFlow Serving.
        version: Number of the version's folder. Defaults to 1.
        say: Where it is told that there is no warm-up file. It is printed by default.
        beside: Writes more files to `assets.extra`: it is given the exported ranker and that folder before the version
            appears, as `serving.onnx_version.write_files`. Defaults to `None`: nothing more.

    Returns:
        The version's folder. It appears whole or not at all.

    Raises:
        FileExistsError: The version exists already, maybe since the export began.
        ValueError: The version is not a positive integer, or the model needs an operation that stock TensorFlow
            does not have.
    """
    if version < 1:
        raise ValueError(f"`version` must be a positive integer. Received: {version}")
    target = Path(base) / str(version)
    with whole_folder(target) as temporary:  # its dot keeps TensorFlow Serving from taking it for a version
        ranker = for_serving(ranker)
        _write(ranker, temporary, target.parent.resolve().name, say)
        if beside is not None:
            beside(ranker, temporary / "assets.extra")
    return target


def next_version(base: str | os.PathLike) -> int:
    """The number behind the highest version in the folder of a model; 1 where there is none."""
    folder = Path(base)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return 1 + max((int(name) for name in names if name.isascii() and name.isdigit()), default=0)


def _write(ranker: Ranker, folder: Path, model_name: str, say: Callable[[str], None]) -> None:
    archive = keras.export.ExportArchive()
    # Not the ranker: the archive finds the variables that the signatures use, and would store them twice.
    archive.track(ranker.preprocessor)
    with ranker.without_xla(), contextlib.redirect_stdout(io.StringIO()):  # it prints every signature
        taken = set(ranker.schema.signature())
        for signature in signatures(ranker):
            archive.add_endpoint(signature.name, signature.function, input_signature=[signature.takes])
            taken |= set(signature.takes) if isinstance(signature.takes, dict) else set()
        archive.write_out(os.fspath(folder))
    updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(os.fspath(folder))
    for name, method in METHOD_NAMES.items():
        updater.replace_method_name(name, method, tags=["serve"])
    updater.save()
    name_inputs(folder, taken)
    check_stock_operations(folder)
    extra = folder / "assets.extra"
    extra.mkdir()
    ranker.schema.to_json(extra / "schema.json")
    if not write_warmup(extra, model_name, ranker.schema):
        say(f"{folder.parent}: no warm-up file was written: tensorflow-serving-api is not installed")
