"""What an exported graph may hold: operations of plain TensorFlow, which every server has."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

# They are TensorFlow's own, and a server without Python, or without XLA, still cannot run them.
_REFUSED = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
_REFUSED_PREFIXES = ("Xla", "_Xla")


def check_stock_operations(folder: Path) -> None:
    """Make sure that stock TensorFlow can load a SavedModel.

    Raises:
        ValueError: A graph of it holds a custom operation, one that needs Python, or a call of XLA.
    """
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    foreign: set[str] = set()
    for meta_graph in model.meta_graphs:
        library = meta_graph.graph_def.library.function
        functions = {function.signature.name for function in library}
        foreign |= _foreign(meta_graph.graph_def.node, functions)
        for function in library:
            foreign |= _foreign(function.node_def, functions)
            if function.attr["_XlaMustCompile"].b:
                foreign.add(f"{function.signature.name} (compiled by XLA)")
    if foreign:
        raise ValueError(
            "a served model may hold TensorFlow's own operations only, without Python and without XLA. Replace these: "
            f"{', '.join(sorted(foreign))}"
        )


def _foreign(nodes: Iterable[Any], functions: set[str]) -> set[str]:
    found = set()
    for node in nodes:
        if node.attr["_XlaMustCompile"].b:
            found.add(f"{node.name} (compiled by XLA)")
        # `raw_ops` is made from TensorFlow's own registry; a library loaded into this process is not in it.
        stock = node.op in functions or hasattr(tf.raw_ops, node.op)
        if not stock or node.op in _REFUSED or node.op.startswith(_REFUSED_PREFIXES):
            found.add(node.op)
    return found
