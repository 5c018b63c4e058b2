"""The names of a SavedModel's inputs."""

import os
from collections.abc import Iterable
from pathlib import Path

from tf_interformer._names import safe_name
from tf_interformer.whole import whole_file


def name_inputs(folder: str | os.PathLike, columns: Iterable[str]) -> None:
    """Call the inputs of all signatures as the columns are called, which TensorFlow's own functions cannot.

    Its signatures are functions of Python with a keyword for each input; what a server reads, is only a table of names.

    Args:
        folder: A SavedModel whose signatures call a column by its `safe_name`.
        columns: Names of columns.
    """
    names = {safe_name(column): column for column in columns if safe_name(column) != column}
    file = Path(folder) / "saved_model.pb"
    if not names:
        return
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for graph in model.meta_graphs:
        for signature in graph.signature_def.values():
            for given in names.keys() & set(signature.inputs):
                signature.inputs[names[given]].CopyFrom(signature.inputs.pop(given))
    with whole_file(file) as draft:
        draft.write_bytes(model.SerializeToString())
