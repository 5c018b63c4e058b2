"""Convert the model of a finished run to ONNX: encoded ids and floats in, probabilities and logits out.

    tf-interformer onnx runs/demo --output demo.onnx

Beside `demo.onnx` it writes `demo.schema.json`, with which `serving.encoder` makes the file's inputs from raw columns,
without TensorFlow. The files appear only if onnxruntime and TensorFlow score random batches alike.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_interformer._names import safe_name
from tf_interformer._output_names import output_name
from tf_interformer._tensorflow import tf
from tf_interformer.command import add_run, command_parser, run_command
from tf_interformer.errors import UserError
from tf_interformer.run_directory import RunDirectory
from tf_interformer.schema._name import ROW_COLUMN
from tf_interformer.whole import whole_file

if TYPE_CHECKING:
    from tf_interformer.ranker import Ranker

OPSETS = (17, 18)
TOLERANCE = 1e-5
CHECKED_ROWS = (1, 7, 64)
# Bytes of weights: a file of the format may have 2^31 in all.
_LARGEST = 2**31 - 2**24


class OnnxError(UserError):
    """The model cannot be converted, or its file gives other scores."""


def export_onnx(ranker: Ranker, path: str | os.PathLike, opset: int = 17, by_request: bool = False) -> float:
    """Write `FILE.onnx`, and `FILE.schema.json` beside it.

    The inputs are the columns that the `Preprocessor` and `serving.encoder.Encoder` make, by name: ids and lengths as
    int32, numbers as float32. Any batch size, any number of events; of more than `max_length` the most recent count.
    The outputs are `probability` and `logit`, `[batch, 1]`, float32; with several tasks `TASK_probability` and
    `TASK_logit`. Both are corrected for the down-sampling of the training split. A model of another precision is
    converted in float32.

    Args:
        ranker: `Ranker`.
        path: File to write; its name ends in `.onnx`.
        opset: int. Version of the ONNX operators, 17 or 18. Defaults to 17.
        by_request: bool. Whether the file takes requests: the user's columns with a row for each user, the candidate's
            with one for each example, and `_row`, int32 `[batch]`, which user's each is. What the model computes for
            the user, it then computes once. Defaults to `False`: every column has a row for each example.

    Returns:
        The largest difference from TensorFlow's outputs on random batches, divided by `max(1, |output|)`.

    Raises:
        FileExistsError: One of the files exists already.
        ValueError: The name does not end in `.onnx`, or the opset is another; or `by_request` meets a schema that names
            no candidate features.
        OnnxError: The model does not convert, is too large, or an output differs by more than 1e-5. Then no file is
            written.
    """
    target = Path(path)
    if target.suffix != ".onnx":
        raise ValueError(f"the name of the file must end in .onnx. Received: {target}")
    if opset not in OPSETS:
        raise ValueError(f"`opset` must be 17 or 18. Received: {opset}")
    if by_request and not ranker.schema.candidate:
        raise ValueError(
            f"`by_request` needs a schema that names the candidate's features, `FeatureSchema(candidate=(...))`: "
            f"schema {ranker.schema.name!r} names none"
        )
    schema = target.with_suffix(".schema.json")
    for file in (target, schema):
        if file.exists():
            raise FileExistsError(f"{file} exists already: give another name, or remove it first")
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as temporary:
        difference = convert(ranker, temporary, opset, by_request)
        ranker.schema.to_json(schema)
    return difference


def convert(ranker: Ranker, path: Path, opset: int = 17, by_request: bool = False) -> float:
    """Write the ONNX file alone, and check it; arguments, result and `OnnxError` as of `export_onnx`."""
    from tf_interformer.export.float32 import in_float32

    ranker = in_float32(ranker)
    _check_convertible(ranker)
    _convert(ranker, path, opset, by_request)
    return _check(ranker, path, by_request)


def numeric_core(ranker: Ranker) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A function from an encoded batch to `probability` and `logit` of each task, as they are served.

    Histories may be of any width; the function keeps the most recent `max_length` events.
    """
    from tf_interformer.export import named_outputs

    def score(encoded: Mapping[str, Any]) -> dict[str, Any]:
        fitted, row = dict(encoded), encoded.get(ROW_COLUMN)
        for sequence in ranker.schema.sequences:
            length, limit = encoded[sequence.length_column], sequence.max_length
            kept = tf.minimum(length, limit)
            window = tf.range(limit)[None] + (length - kept)[:, None]  # [B, max_length]
            for column in sequence.event_columns:
                own = row is not None and column in ranker.schema.candidate_columns
                padded = tf.pad(encoded[column], [[0, 0], [0, limit]])
                fitted[column] = tf.gather(padded, tf.gather(window, row) if own else window, batch_dims=1)
            fitted[sequence.length_column] = kept
        with ranker.without_xla():
            return named_outputs(ranker.corrected(ranker(fitted, training=False)))

    return score


def encoded_signature(ranker: Ranker, by_request: bool = False) -> dict[str, tf.TensorSpec]:
    """The inputs of `numeric_core`, by column; of requests with `ROW_COLUMN`."""
    row = {ROW_COLUMN: tf.TensorSpec([None], tf.int32, safe_name(ROW_COLUMN))} if by_request else {}
    events = {column.name for column in ranker.schema.encoded_columns if column.goes == "event"}
    return {
        name: tf.TensorSpec([None, None], spec.dtype, spec.name) if name in events else spec
        for name, spec in ranker.encoded_signature.items()
    } | row


def random_batch(
    ranker: Ranker, rows: int, random: np.random.Generator, events: int | None = None, users: int | None = None
) -> dict[str, np.ndarray]:
    """An encoded batch of random ids and floats; of several rows the first has empty histories.

    Args:
        ranker: `Ranker`.
        rows: int. Number of examples.
        random: The generator.
        events: int or None. Width of every history. Defaults to `None`: each sequence's `max_length`.
        users: int or None. Rows of the user's columns in a batch of requests. Defaults to `None`: it is none.
    """
    widths = {s.name: s.max_length if events is None else events for s in ranker.schema.sequences}
    batch: dict[str, np.ndarray] = {}
    for column in ranker.schema.encoded_columns:
        width = (widths[column.sequence or ""],) if column.goes == "event" else column.shape[1:]
        count = users if users is not None and column.side == "user" else rows
        size = (count, *(size or 0 for size in width))
        if column.is_id:
            batch[column.name] = random.integers(0, column.num_ids or 0, size, np.int32)
        elif column.goes == "length":
            batch[column.name] = random.integers(0, widths[column.sequence or ""], size, np.int32, endpoint=True)
            batch[column.name][: int(count > 1)] = 0
        else:
            batch[column.name] = random.normal(size=size).astype(np.float32)
    if users is not None:
        batch[ROW_COLUMN] = np.sort(random.integers(0, users, rows, np.int32))
    return batch


def open_session(path: str | os.PathLike, spin: bool = True) -> Any:
    """The file as an `onnxruntime.InferenceSession` on the processor.

    Args:
        path: The file.
        spin: bool. Whether its threads go on looking for work for a while when there is none, as they do by
            onnxruntime's own default: quicker, but it takes a processor from whatever else the process does. Defaults
            to `True`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not spin:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])


def require_packages(*names: str) -> None:
    """Raise `UserError` where a package is not installed.

    Args:
        names: Their names. Defaults to what converting needs.
    """
    missing = [name for name in names or ("onnx", "onnxruntime", "tf2onnx") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"{', '.join(missing)} not found: install the extra, pip install 'tf_interformer[onnx]'")


def _check_convertible(ranker: Ranker) -> None:
    size = 4 * ranker.count_params()
    if size > _LARGEST:
        raise OnnxError(
            f"the weights take {size:,} bytes in float32, and an ONNX file may have 2^31 in all: use fewer rows "
            "(`min_count`, `hash_buckets`) or a smaller embedding, or serve the SavedModel"
        )
    tasks = ranker.schema.tasks
    outputs = {output_name(what, task, len(tasks)) for task in tasks for what in ("logit", "probability")}
    taken = sorted(outputs & set(ranker.encoded_shapes))
    if taken:
        raise OnnxError(f"the columns {taken} have the names of outputs: give them other names in the schema")


def _convert(ranker: Ranker, path: Path, opset: int, by_request: bool) -> None:
    import onnx
    import tf2onnx

    function = tf.function(numeric_core(ranker), autograph=False)
    signature = encoded_signature(ranker, by_request)
    theirs = (ranker.schema.candidate_columns | {ROW_COLUMN}) if by_request else signature.keys()
    with _quiet("tf2onnx", "tensorflow"):
        model, _ = tf2onnx.convert.from_function(
            function, [signature], opset=opset, custom_op_handlers={"Erfc": (_convert_erfc, [])}
        )
    _rename(model.graph, {spec.name: name for name, spec in signature.items()})
    for value in (*model.graph.input, *model.graph.output):
        rows = "users" if value.name in signature and value.name not in theirs else "batch"
        for axis, name in enumerate((rows, f"{value.name}_events")):
            dimensions = value.type.tensor_type.shape.dim
            if axis < len(dimensions) and not dimensions[axis].dim_value:
                dimensions[axis].dim_param = name
    onnx.save(model, os.fspath(path))


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Call inputs of a graph otherwise, also where the graphs of its loops and branches read them."""
    for value in graph.input:
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, names)


def _convert_erfc(context: Any, node: Any, name: str, arguments: Any) -> None:
    """`erfc(x) = 1 - erf(x)`, of the exact GELU, which tf2onnx does not know."""
    output = node.output[0]
    dtype, shape = context.get_dtype(output), context.get_shape(output)
    context.remove_node(node.name)
    one = context.make_const(f"{name}_one", np.ones((), np.float32))
    erf = context.make_node("Erf", node.input)
    context.make_node(
        "Sub", [one.output[0], erf.output[0]], name=name, outputs=[output], dtypes=[dtype], shapes=[shape]
    )


def _check(ranker: Ranker, path: Path, by_request: bool) -> float:
    import onnx

    try:
        onnx.checker.check_model(os.fspath(path), full_check=True)
        loaded = open_session(path)
    except Exception as error:  # each of the two libraries has many of its own
        raise OnnxError(f"the model does not convert to ONNX: {str(error).strip():.500}") from None
    signature = encoded_signature(ranker, by_request)
    score = tf.function(numeric_core(ranker), autograph=False, input_signature=[signature])
    random = np.random.default_rng(0)
    longer = 3 + max((sequence.max_length for sequence in ranker.schema.sequences), default=0)
    worst = 0.0
    for rows in CHECKED_ROWS:
        for events in (None, 0, longer):
            batch = random_batch(ranker, rows, random, events, 1 + rows // 4 if by_request else None)
            expected = score({name: tf.constant(value) for name, value in batch.items()})
            for name, value in zip(expected, loaded.run(list(expected), batch), strict=True):
                wanted = expected[name].numpy()
                difference = float(np.max(np.abs(value - wanted) / np.maximum(1, np.abs(wanted))))
                if not difference <= TOLERANCE:  # a NaN, too
                    raise OnnxError(
                        f"onnxruntime's {name} differs from TensorFlow's by {difference:.1e} on {rows} random "
                        f"examples; {TOLERANCE:.0e} is allowed"
                    )
                worst = max(worst, difference)
    return worst


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """They warn of what the check finds, too, and at length."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def convert_run(run_path: str, output: str, opset: int = 17, by_request: bool = False) -> None:
    """Convert the run's model; see the module's text.

    Raises:
        UserError: The folder holds no finished run, a file exists, or the model does not convert.
    """
    require_packages()
    run = RunDirectory(run_path)
    run.finished()
    ranker = run.load_model()
    print(f"converting {run.model}", flush=True)
    try:
        difference = export_onnx(ranker, output, opset, by_request)
    except OnnxError as error:
        raise UserError(f"{run.model}: {error}") from None
    except (FileExistsError, ValueError) as error:
        raise UserError(f"--output: {error}") from None
    schema = Path(output).with_suffix(".schema.json")
    print(f"{output} and {schema} written; largest difference from TensorFlow {difference:.1e}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("onnx", __doc__)
    add_run(parser)
    parser.add_argument("--output", required=True, metavar="FILE.onnx", help="file to write; must not exist")
    parser.add_argument("--opset", type=int, choices=OPSETS, default=17, help="version of the ONNX operators")
    help_text = "take requests: the columns of a user once, and `_row`, which user's each candidate is"
    parser.add_argument("--by-request", action="store_true", help=help_text)
    given = parser.parse_args(arguments)
    return run_command(lambda: convert_run(given.run, given.output, given.opset, given.by_request))


if __name__ == "__main__":
    sys.exit(main())
