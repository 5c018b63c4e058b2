"""What a run was trained on, told without reading it all: its schema, its files, their sizes."""

import hashlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from pipelines.input import Source

_END = 1 << 16


def fingerprint(source: Source) -> dict[str, Any]:
    """The schema's digest, and of every file its name, size and rows, and a digest of its first and last 64 KiB.

    Rows are counted where the file says how many it has: TFRecord does not, and would have to be read.
    """
    schema = hashlib.sha256(source.schema.to_json().encode()).hexdigest()[:16]
    files = {split: [_of_file(source, file) for file in names] for split, names in source.files.items()}
    return {"schema": schema, "files": files}


def differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """How two fingerprints differ, in words."""
    if before["schema"] != now["schema"]:
        yield "the schema is another"
    for split in now["files"]:
        old, new = ({file["name"]: file for file in each["files"].get(split, [])} for each in (before, now))
        for name in sorted(old.keys() - new.keys()):
            yield f"{split}: {name} is gone"
        for name in sorted(new.keys() - old.keys()):
            yield f"{split}: {name} is new"
        for name in sorted(old.keys() & new.keys()):
            if old[name] != new[name]:
                key = next(key for key in ("rows", "bytes", "digest") if old[name].get(key) != new[name].get(key))
                yield f"{split}: {name} has other {key}, {new[name].get(key)} instead of {old[name].get(key)}"


def _of_file(source: Source, file: str) -> dict[str, Any]:
    with tf.io.gfile.GFile(file, "rb") as stream:  # a folder of TensorFlow Datasets may lie anywhere
        size = stream.size()
        ends = stream.read(_END)
        stream.seek(max(0, size - _END))
        ends += stream.read(_END)
    facts = {"name": file.rpartition("/")[2], "bytes": size, "digest": hashlib.sha256(ends).hexdigest()[:16]}
    if source.format == "parquet":
        from pipelines.parquet import parquet_rows  # needs pyarrow

        facts["rows"] = parquet_rows(file)
    return facts
