"""What TensorFlow says of a broken file, as one message that names it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import tensorflow as tf

from pipelines.datasets.tables import DataError
from pipelines.tfrecord import compression, parse
from pipelines.tfrecord_requests import parse_examples, places
from tf_interformer._tensorflow_errors import reason

if TYPE_CHECKING:
    from pipelines.input import Source

# What reading may raise. `ResourceExhaustedError` and the like are not the data's fault.
_READING = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.NotFoundError,
    tf.errors.UnimplementedError,
    tf.errors.UnknownError,
)
_PARSED_AT_ONCE = 1024


@contextmanager
def explained_read_errors(source: "Source") -> Iterator[None]:
    """Within it, what TensorFlow says of a broken file becomes a `DataError` that names the file."""
    try:
        yield
    except _READING as error:
        raise explain_read_error(error, source) from error


def explain_read_error(error: Exception, source: "Source") -> DataError:
    """Say which file a failed read came from, and what is wrong with it."""
    told = re.search(r"DataError: (.*?)\n\s*Traceback ", str(error), re.DOTALL)  # raised by our own readers
    if told:
        return DataError(told[1].strip())
    if source.format == "tfrecord":
        for file in (file for files in source.files.values() for file in files):
            found = _fault(source, file)
            if found:
                return DataError(f"{file} {found}")
    return DataError(f"reading or training failed: {reason(error)}")


def _fault(source: "Source", file: str) -> str | None:
    """What is wrong with a TFRecord file, if anything is."""
    count = 0
    try:
        for serialized in tf.data.TFRecordDataset(file, compression(file)).batch(_PARSED_AT_ONCE):
            if _parse_error(source, serialized) is not None:
                errors = (_parse_error(source, serialized[i : i + 1]) for i in range(len(serialized)))
                index, error = next((i, error) for i, error in enumerate(errors) if error is not None)
                return f"does not fit the schema {source.schema.name!r}, record {count + index + 1:,}: {error}"
            count += len(serialized)
    except tf.errors.OpError as error:
        return (
            f"is broken after {_readable(file)} records: it is cut off, or not a TFRecord file ({reason(error)}). "
            "Write it again, or copy it again from where it came"
        )
    return None


def _parse_error(source: "Source", serialized: tf.Tensor) -> str | None:
    try:
        if source.of_requests:
            examples = places(serialized, source.schema.tasks[0])
            parse_examples(source.schema.raw_columns, source.extras, *examples)
        else:
            parse(source.schema.raw_columns, source.extras, serialized)
    except tf.errors.OpError as error:
        text = reason(error)
        found = re.match(r"(?:Key|Feature): (.*?)(?:, Index: \d+\.| (?=\(data type))\s*(.*)", text)
        return f"column {found[1]!r}: {found[2]}" if found else text
    return None


def _readable(file: str) -> int:
    count = 0
    try:
        for _ in tf.data.TFRecordDataset(file, compression(file)):
            count += 1
    except tf.errors.OpError:
        pass
    return count
