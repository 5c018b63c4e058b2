"""From raw columns to ids and floats: the same code in the input pipeline and in the exported model."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tf_interformer import _raw_tensors as tensors
from tf_interformer._tensorflow import tf
from tf_interformer.arrays.tensor_arrays import TensorArrays
from tf_interformer.arrays.tensor_arrays import as_text as as_text  # for who hashes as it does
from tf_interformer.requests import of_each
from tf_interformer.schema import FeatureSchema, RawColumn, SchemaError
from tf_interformer.schema._name import LIST_COLUMN as LIST_COLUMN  # for who trains by lists
from tf_interformer.schema._name import ROW_COLUMN as ROW_COLUMN  # for who trains by requests
from tf_interformer.schema.encoding import Encoding
from tf_interformer.schema.errors import as_schema_errors
from tf_interformer.schema.raw_column import Side


class Preprocessor(tf.Module):
    """Looks up, hashes and normalises a raw batch as a learned schema says.

    It is a `tf.Module`, not a Keras layer: its inputs are strings and 64-bit integers, which no dtype policy
    should cast. Map it over a `tf.data.Dataset`, and export it with the model: training and serving then
    share every rule.

    - Categorical: id 0 for the missing value, 1 for a value not in the vocabulary, 2 and up for the others. Blanks
      around a string are no part of it.
    - Numeric: NaN becomes the training mean; then the transform. With buckets, `<name>_bucket` holds an id:
      0 for NaN, else 2 plus the number of boundaries at or below the value.
    - Vector: a vector with a NaN becomes zeros; then each is divided by its length, where the schema says so.
    - Moment: ids of the hour and of the day of the week, under names of their own.
    - Sequence: the most recent `max_length` events, oldest first, padded on the right with id 0, or with the number 0;
      numbers of events are transformed as those of features. What its `match` and `distance` name is compared with the
      candidate as raw values, see `Match` and `Distance` for the columns.

    Args:
        schema: `FeatureSchema`. A learned one.
        dtype: str. What the model computes in, which its numbers must fit. Defaults to `"float32"`.

    Call arguments:
        raw: dict of tensors, arrays or lists `[batch]`, `[batch, values]` and `[batch, time]`, as in
            `FeatureSchema.signature`. Rows of lists may differ in length, and tensors be ragged; `None` and NaN are
            missing, see `tf_interformer.columns`. Columns that are not in the schema are ignored.
        serving: bool. Whether the features with `serve_as` take that value, as in `Ranker.score` and in an
            exported model; their columns are then not needed. Defaults to `False`.

    Returns:
        dict of tensors by the same names, and by those of `Match` and `Distance`: ids as int32, numbers as float32,
        histories `[batch, max_length]`. Where the candidate's columns have a row for each of N items and the others
        one row, so have the encoded ones. In a batch of requests, whose column `ROW_COLUMN` says which of R rows of the
        user's columns each example is of, the user's have R and the candidate's, as what a `match` or `distance` tells,
        one for each example.

    Raises:
        SchemaError: The schema is not learned, or a column is missing or of a wrong type, or holds an infinite number
            or one that `dtype` cannot hold, or bytes that are no UTF-8, or a length that is negative or exceeds the
            events given.
        tf.errors.InvalidArgumentError: The same of a value that is only known once a graph runs, but for bytes.

    Example:

    >>> from tf_interformer.schema import Categorical, FeatureSchema, Label
    >>> schema = FeatureSchema(
    ...     features=[Categorical("country", vocabulary=["NL", "BR"])], labels=[Label("click", mean=0.5)])
    >>> Preprocessor(schema)({"country": tf.constant(["BR", "", "XX"])})["country"].numpy().tolist()
    [3, 0, 1]
    """

    def __init__(self, schema: FeatureSchema, dtype: str = "float32") -> None:
        super().__init__(name="preprocessor")
        schema.require_learned()
        self.schema = schema
        # A dict would be taken for a part of the module.
        self._columns = MappingProxyType({column.name: column for column in schema.raw_columns})
        self._arrays = TensorArrays(schema.tables, dtype)
        self._encode = Encoding(schema)

    @tf.autograph.experimental.do_not_convert  # nothing to convert, and converting takes longer than tracing
    def __call__(self, raw: Mapping[str, Any], serving: bool = False) -> dict[str, tf.Tensor]:
        with tf.name_scope(self.name), as_schema_errors():
            if serving and self.schema.served_as:
                raw = self._as_served(raw)
            return self._encode(self._read(raw), self._arrays)

    def labels(self, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """The labels of a raw batch, each float32 `[batch, 1]`."""
        missing = [task for task in self.schema.tasks if task not in raw]
        if missing:
            raise SchemaError(f"label columns {missing} are missing. Received: {', '.join(sorted(raw))}")
        return {task: tf.reshape(self._column(raw, task), [-1, 1]) for task in self.schema.tasks}

    def weights(self, raw: Mapping[str, Any]) -> tf.Tensor:
        """The weights of a raw batch's examples, float32 `[batch]`; ones when the schema names no weight column."""
        if self.schema.weight is None:
            with as_schema_errors():
                return tf.ones(tf.shape(self._columns[self.schema.tasks[0]].of(raw))[:1])
        return tf.reshape(self._column(raw, self.schema.weight), [-1])

    def lists(self, raw: Mapping[str, Any], by: str) -> tf.Tensor:
        """Which list each example of a raw batch is of: integers `[batch]`, of strings a hash of 31 bits.

        Args:
            raw: dict of tensors. A raw batch.
            by: `"group"` or `"request"`, which the schema must have.
        """
        if by not in self.schema.key_columns:
            raise SchemaError(
                f"schema {self.schema.name!r} has no `{by}` column to tell lists by. It has: "
                f"{sorted(self.schema.key_columns) or 'neither group nor request'}"
            )
        name, dtype = self.schema.key_columns[by]
        column = RawColumn(name, "key", dtype, "" if dtype == "string" else -1)
        with as_schema_errors():
            keys = of_each(self._columns[name], tensors.read(column, raw), raw)
        return tf.cast(tf.strings.to_hash_bucket_fast(as_text(keys), 2**31 - 1), tf.int32)

    def training_batch(self, raw: Mapping[str, Any], lists: str | None = None) -> tuple[Any, ...]:
        """What `fit` takes: `(encoded, labels)`, and `weights` third when the schema names a weight column.

        Args:
            raw: dict of tensors. A raw batch.
            lists: `"group"`, `"request"` or None. By which of the schema's keys the batch says what list, or user, each
                example is of, as `Ranker(list_loss=...)` needs it. Defaults to `None`: it does not.
        """
        encoded = self(raw)
        if lists is not None:
            encoded[LIST_COLUMN] = self.lists(raw, lists)
        batch = encoded, self.labels(raw)
        return batch if self.schema.weight is None else (*batch, self.weights(raw))

    def _column(self, raw: Mapping[str, Any], name: str) -> tf.Tensor:
        with as_schema_errors():
            return tensors.read(self._columns[name], raw)

    def _as_served(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        served = {}
        for name, value in self.schema.served_as.items():
            column = self._columns[name]
            served[name] = tf.fill([self._rows(raw, column.side)], tf.constant(value, column.dtype))
        return {**raw, **served}

    def _rows(self, raw: Mapping[str, Any], side: Side) -> Any:
        """How many rows the columns of a side have; where no request holds any, those of the other side."""
        if side == "candidate" and ROW_COLUMN in raw:
            return tensors.count_rows(raw[ROW_COLUMN])
        asked = self.schema.served_columns
        column = next((column for column in asked if column.side == side), asked[0])
        return tensors.count_rows(column.of(raw))

    def _read(self, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """What `Encoding` takes: of events those that the model reads."""
        inputs = [column for column in self._columns.values() if column.is_input]
        lengths = {column.name: tensors.read(column, raw) for column in inputs if column.kind == "length"}
        read = {
            column.name: tensors.read(column, raw, lengths.get(column.length or ""))
            for column in inputs
            if column.kind != "length"
        }
        lengths = {name: tf.minimum(length, self._columns[name].width) for name, length in lengths.items()}
        row = {ROW_COLUMN: tf.cast(raw[ROW_COLUMN], tf.int32)} if ROW_COLUMN in raw else {}
        return read | lengths | row
