"""From raw values to an encoded batch, as a schema has it."""

from collections.abc import Mapping

from tf_interformer.arrays import Array, Arrays
from tf_interformer.schema._history import Candidate, History
from tf_interformer.schema._name import ROW_COLUMN
from tf_interformer.schema._parts import SchemaParts
from tf_interformer.schema.sequence import Sequence


class Encoding:
    """How a learned schema encodes, the one place that says so for NumPy and TensorFlow: made once, for all batches.

    Args:
        schema: `FeatureSchema`. A learned one.

    Example:

    >>> from tf_interformer.arrays.numpy_arrays import NumpyArrays
    >>> from tf_interformer.schema import Categorical, FeatureSchema, Label
    >>> schema = FeatureSchema(features=[Categorical("item", vocabulary=["a"])], labels=[Label("click", mean=0.5)])
    >>> Encoding(schema)({"item": np.array(["a", "b"], object)}, NumpyArrays(schema.tables))
    {'item': array([2, 1], dtype=int32)}
    """

    def __init__(self, schema: SchemaParts) -> None:
        compared = {comparison.feature for comparison in schema.comparisons}
        self._features = schema.features
        self._compared = [feature for feature in schema.categoricals if feature.name in compared]
        self._sequences = [_SequenceEncoding(sequence) for sequence in schema.sequences]

    def __call__(self, raw: Mapping[str, Array], arrays: Arrays) -> dict[str, Array]:
        """An encoded batch.

        Args:
            raw: dict. By column the values of every feature; of every field of a sequence its most recent `max_length`
                events `[batch, max_length]`, padded on the right with whatever; and how many of these are real, int32
                `[batch]`. In a batch of requests `"_row"`, int32, says which row of the user's columns each example is
                of; the candidate's columns have a row for each example.
            arrays: `Arrays`.
        """
        encoded: dict[str, Array] = {}
        for feature in self._features:
            encoded |= feature.encode(feature.name, raw[feature.name], arrays)
        candidates = {}
        for feature in self._compared:
            values = raw[feature.name] if feature.max_values is not None else raw[feature.name][:, None]
            candidates[feature.name] = Candidate(values, ~arrays.equal(values, feature.missing))
        for sequence in self._sequences:
            encoded |= sequence(raw, candidates, arrays)
        return encoded | {name: raw[name] for name in (ROW_COLUMN,) if name in raw}


class _SequenceEncoding:
    """The same of one sequence."""

    def __init__(self, sequence: Sequence) -> None:
        self._length, self._limit = sequence.length_column, sequence.max_length
        keyed = ((sequence.column(field.name), field) for field in sequence.fields)
        self._fields = [(column, field, field.raw_column(column).missing) for column, field in keyed]
        self._numbers = frozenset(sequence.number_columns)
        self._comparisons = sequence.comparisons
        self._compared = frozenset(comparison.field for comparison in self._comparisons)

    def __call__(
        self, raw: Mapping[str, Array], candidates: Mapping[str, Candidate], arrays: Arrays
    ) -> dict[str, Array]:
        kept = raw[self._length]
        real = arrays.steps(self._limit)[None] < kept[:, None]  # [B, max_length]
        encoded: dict[str, Array] = {}
        values, given = {}, {}
        for column, field, missing in self._fields:
            values[column] = arrays.where(real, raw[column], missing)
            # Behind the last event are zeros, which ids of missing values are already.
            for name, found in field.encode(column, values[column], arrays).items():
                encoded[name] = arrays.where(real, found, 0.0) if name in self._numbers else found
            if column in self._compared:
                given[column] = real & ~arrays.equal(values[column], missing)
        history = History(values, given, dict(encoded), kept, real)
        if self._comparisons and ROW_COLUMN in raw:
            history = history.of(raw[ROW_COLUMN], arrays)
        for comparison in self._comparisons:
            encoded |= comparison.encode(history, candidates[comparison.feature], arrays)
        return {**encoded, self._length: kept}
