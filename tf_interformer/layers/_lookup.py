"""Reading rows of a big table."""

from typing import Any

from tf_interformer._keras import LEGACY, keras_backend, ops
from tf_interformer._tensorflow import tf

# For `add_weight` of a table: a gather of a cast table would cast the whole table.
NO_AUTOCAST = {"experimental_autocast": False} if LEGACY else {"autocast": False}


def take_rows(table: Any, rows: Any) -> Any:
    """Rows of a table; on TensorFlow a resource gather, which never reads the whole variable."""
    if keras_backend() != "tensorflow":
        return ops.take(table, rows, axis=0)
    return tf.gather(table if LEGACY else table.value, rows)
