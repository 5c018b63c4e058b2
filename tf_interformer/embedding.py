"""From ids and floats to tokens: one gather per embedding width."""

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np

from tf_interformer._embedder_parts import EmbedderParts
from tf_interformer._fused_tables import FEW_IDS as FEW_IDS  # for who counts ids as it does
from tf_interformer._fused_tables import Place, pool
from tf_interformer._keras import ops, register
from tf_interformer.layers._common import (
    rows_of,
    valid_positions,
    wide,
    zero_where_not,
)
from tf_interformer.layers._lookup import take_rows
from tf_interformer.schema import EncodedColumn
from tf_interformer.schema import Sequence as Events
from tf_interformer.schema._name import ROW_COLUMN
from tf_interformer.tokens import Tokens


@register
class TokenEmbedder(EmbedderParts):
    """Embeds an encoded batch: feature tokens, and embedded events for every behaviour sequence.

    All columns of one width share one fused table, in which every vocabulary has rows of its own, and are
    read by a single gather. Id 0 embeds to zeros, always. All numbers together give the dense
    token(s): `x_dense = W [x_1 .. x_m] + b` (InterFormer, section 3.1, which prints no bias b; it starts
    at 0), or an MLP whose output is split evenly (Hiformer). A `Vector` gives a token of its own, by a
    linear map without a bias.

    Order of the feature tokens: dense token(s), bucketised numerics, categorical features, what a `match` says of the
    latest event on the candidate and a `distance` of the latest event, vectors, each as in the schema.

    In a model of your own, train it by an optimizer of `tf_interformer.optimizers`, such as `LazyAdam`, or give one of
    Keras to `optimizers.summing_rows` first: Keras 3's own take an id that stands several times in a batch too far.
    `Ranker.compile` sees to that by itself.

    Args:
        schema: `FeatureSchema` or its config. A learned one.
        dim: int. Width D of every token. Defaults to 16.
        dense_tokens: int. Tokens made of the numeric features. Defaults to 1.
        dense_units: tuple of int. Hidden units before them (ReLU). Defaults to none: one linear map.
        stddev: float. Standard deviation of the initial embeddings. Defaults to 0.05.
        dense_stddev: float or None. Standard deviation at which the components of the dense tokens, and of what is made
            of an event's numbers, start, for numbers of deviation 1 and without `dense_units`. Defaults to None:
            Glorot's kernel, by which they start at 0.3 (one number) to 1.2 (fifty), many times as loud as an id's
            token. What is better depends on the log, see docs/figures.md.
        l2: float. Penalty `l2 * sum of squares` on the rows that a batch reads, divided by the batch size.
            Defaults to 0.
        dropout: float. Share of each feature token's and event's components dropped in training. Defaults to 0.
        unknown: float. Share of the ids that a training step takes for out of vocabulary, wherever they stand: in the
            features and in the histories, in tables of more than 256 ids. They are drawn anew at each step, by 4,096
            groups of ids. A model so learns what to do about items and users that it has never seen, and does not lean
            on ids that it has learned by heart. Ours. Defaults to 0.
        table_dtype: str. How the tables are stored: `"float32"`, or `"bfloat16"` or `"float16"`, half as large, for
            a model that is only served: training would lose small steps. Rows are cast once they are read. Defaults
            to `"float32"`.
        by_side: bool. Whether what belongs to the user and what belongs to the candidate, as the schema's `candidate`
            has it, is kept apart, as a model needs it that computes the user's part once for many candidates: numbers
            of either are dense tokens of their own, and what a `match` or `distance` says of each event is not in the
            sequences but beside them. Defaults to `False`.

    Call arguments:
        inputs: dict of tensors, as the `Preprocessor` makes it.

    Returns:
        `Tokens`: `"features"` `[B, N, D]`; `"sequences"` name -> `[B, T, F * D]`, an event's F categorical fields side
        by side, and behind them for each `match` whether it was the candidate, each `distance`, and all its numbers, by
        a map of their own like that of the dense token; `"lengths"` name -> `[B]`; `"ids"` `[B, N]`, 0 where a token
        has none; with numeric features or a `match` also `"numbers"`, all of them as they come, `[B, M]`.

        Where a history says how old its events are (`Sequence.age`), also `"ages"` name -> `[B, T]`, `log(1 + age)`.

        With `by_side` also `"compared"` name -> `[B, T, C * D]`, what a `match` or `distance` says of each event, and
        in a batch of requests `"user_features"` `[R, U, D]` and `"candidate_features"` `[B, C, D]`, the tokens of
        either alone.

        In a batch of requests, whose column `_row` `[B]` says which row of the user's columns each example is of, these
        have a row for each of R users, and the candidate's one for each example. The sequences have R rows then, too,
        and `"row"` comes with them; where a `match` or `distance` is in them, they have B.

    Raises:
        ValueError: A column is missing, or, in eager mode, an id is out of its table's range. In a compiled
            graph such an id reads the out-of-vocabulary row, on every device.

    Example:

    >>> import numpy as np
    >>> from tf_interformer.schema import Categorical, FeatureSchema, Label
    >>> schema = FeatureSchema(features=[Categorical("a", vocabulary=["x"]), Categorical("b", hash_buckets=8)],
    ...                        labels=[Label("y", mean=0.5)])
    >>> tokens = TokenEmbedder(schema, dim=4)({"a": np.array([2, 0]), "b": np.array([5, 1])})
    >>> tuple(tokens["features"].shape)
    (2, 2, 4)
    """

    @property
    def feature_names(self) -> list[str]:
        """Name of every feature token, in order: the axes of an attention plot."""
        several = self.dense_tokens > 1
        dense = [f"{name}_{i}" if several else name for name in self._numbers for i in range(self.dense_tokens)]
        return dense + [column.name for column in self._token_columns]

    @property
    def candidate_tokens(self) -> list[int]:
        """Which of the feature tokens are the candidate's; needs `by_side`, since else numbers of both are one."""
        dense = [name == "dense_candidate" for name in self._numbers for _ in range(self.dense_tokens)]
        theirs = dense + [column.side == "candidate" for column in self._token_columns]
        return [index for index, own in enumerate(theirs) if own]

    @property
    def columns(self) -> list[str]:
        """Names of the encoded id columns, in the order of their tokens: of features, of events, of the latest."""
        return list(self._layout.places)

    def rows_of(self, column: str) -> np.ndarray:
        """Embeddings `[ids, width]` of a column's vocabulary, id 0 first; columns that share a table share them."""
        place = self._layout.places[column]
        rows = np.arange(place.offset, place.offset + place.rows)
        return ops.convert_to_numpy(wide(take_rows(self._tables[str(place.width)], rows)))

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> Tokens:
        self._check(inputs)
        if self.forget is not None and training:
            inputs = self._layout.forgotten(inputs, self.forget)
        row = inputs.get(ROW_COLUMN)
        theirs = self.schema.candidate_columns
        places = self._layout.places.values()
        if row is None:
            rows, squares = self._gather(inputs, places)
        else:
            # One gather reads all columns that have the same rows.
            rows, squares = self._gather(inputs, [place for place in places if place.key not in theirs])
            own, more = self._gather(inputs, [place for place in places if place.key in theirs])
            rows |= own
            squares = (rows_of(squares, row) if self.l2 else squares) + more

        def spread(key: str, value: Any) -> Any:
            return value if key in theirs else rows_of(value, row)

        if self.l2:
            batch = ops.cast(ops.shape(squares)[0], "float32")
            # A replica's part of the last batch may be empty.
            self.add_loss(self.l2 * ops.sum(squares) / ops.maximum(batch, 1.0))
        tokens = self._tokens(inputs, rows, spread, training)
        if row is not None and not self._differ:
            tokens["row"] = row
        if self.drop is not None:
            tokens["features"] = self.drop(tokens["features"], training=training)
            tokens["sequences"] = {name: self.drop(x, training=training) for name, x in tokens["sequences"].items()}
            if "compared" in tokens:
                tokens["compared"] = {name: self.drop(x, training=training) for name, x in tokens["compared"].items()}
            if "user_features" in tokens:
                tokens["user_features"] = self.drop(tokens["user_features"], training=training)
            if "candidate_features" in tokens:
                tokens["candidate_features"] = self.drop(tokens["candidate_features"], training=training)
        return tokens

    def _tokens(
        self, inputs: Mapping[str, Any], rows: Mapping[str, Any], spread: Callable[[str, Any], Any], training: Any
    ) -> Tokens:
        """The tokens; `spread` gives what belongs to an example a row for each."""
        numbers = {name: ops.cast(inputs[name], self.compute_dtype) for name in self.schema.numbers}
        if numbers:  # [B, M]
            together = ops.stack([spread(name, value) for name, value in numbers.items()], axis=-1)
        tokens = []  # and whether each has a row for each example
        for name, of in self._numbers.items():
            given = together if name == "dense" else ops.stack([numbers[key] for key in of], axis=-1)
            dense = ops.reshape(getattr(self, name)(given, training=training), (-1, self.dense_tokens, self.dim))
            tokens.append((dense, name != "dense_user"))
        for column in self._token_columns:
            tokens.append((self._token(column, inputs, rows), column.side == "candidate"))
        row = inputs.get(ROW_COLUMN)
        features = []
        for own, neighbours in groupby(tokens, key=itemgetter(1)):  # those of the user by one gather
            part = _joined([token for token, _ in neighbours], axis=1)
            features.append(part if own else rows_of(part, row))
        sequences, lengths, compared, ages = {}, {}, {}, {}
        for sequence in self.schema.sequences:
            length = ops.cast(inputs[sequence.length_column], "int32")
            events: list[Any] = []
            compares: list[Any] = []
            for part in sequence.event_parts:
                ids = part[0] in rows
                value = rows[part[0]] if ids else self._event_numbers(sequence, part, inputs, length, training)
                beside = compares if self.by_side and part[0] in self.schema.candidate_columns else events
                beside.append(spread(part[0], value) if self._differ else value)  # [B, T, D]
            if self._differ:
                length = spread(sequence.length_column, length)
            sequences[sequence.name] = _joined(events, axis=-1)
            lengths[sequence.name] = length
            if sequence.age is not None:
                age = _age(sequence, inputs)
                ages[sequence.name] = spread(sequence.column(sequence.age), age) if self._differ else age
            if compares:
                compared[sequence.name] = _joined(compares, axis=-1)
        made: Tokens = {"features": _joined(features, axis=1), "sequences": sequences, "lengths": lengths}
        # All tokens need not be made to tell how many examples there are.
        examples = made["features"] if row is None else row
        made["ids"] = self._ids({key: spread(key, inputs[key]) for key in self._one_id if key}, examples)
        if numbers:
            made["numbers"] = together
        if compared:
            made["compared"] = compared
        if ages:
            made["ages"] = ages
        if self.by_side and row is not None:
            made["candidate_features"] = _joined([token for token, own in tokens if own], axis=1)
            if users := [token for token, own in tokens if not own]:
                made["user_features"] = _joined(users, axis=1)
        return made

    def _token(self, column: EncodedColumn, inputs: Mapping[str, Any], rows: Mapping[str, Any]) -> Any:
        """The token `[B, 1, D]` of a feature."""
        if column.is_id:
            return pool(rows[column.name], inputs[column.name], column.pooling)
        made = self._vector_maps[column.name](ops.cast(inputs[column.name], self.compute_dtype))
        return ops.expand_dims(made, axis=1)

    @property
    def _differ(self) -> bool:
        """Whether histories differ between the candidates of one user: what is compared with them is in the events."""
        return bool(self.schema.comparisons) and not self.by_side

    def _event_numbers(
        self, sequence: Events, part: Iterable[str], inputs: Mapping[str, Any], length: Any, training: Any
    ) -> Any:
        """What all numbers of each event are together, as the dense token is of those of an example: `[B, T, D]`."""
        numbers = [ops.cast(inputs[key], self.compute_dtype) for key in part]
        tokens = self._event_maps[sequence.name](ops.stack(numbers, axis=-1), training=training)
        return zero_where_not(valid_positions(length, ops.shape(tokens)[1]), tokens)

    @property
    def _one_id(self) -> list[str]:
        """For each feature token behind the dense ones the column of its id, or nothing where it has none, or many."""
        return [c.name if c.is_id and c.pooling is None else "" for c in self._token_columns]

    def _ids(self, inputs: Mapping[str, Any], examples: Any) -> Any:
        none = ops.zeros((ops.shape(examples)[0],), "int32")
        dense = [none] * (self.dense_tokens * len(self._numbers))
        return ops.stack([*dense, *(ops.cast(inputs[c], "int32") if c else none for c in self._one_id)], axis=1)

    def _gather(self, inputs: Mapping[str, Any], wanted: Iterable[Place]) -> tuple[dict[str, Any], Any]:
        tables, dtype = self._tables, self.compute_dtype
        return self._layout.gather(inputs, wanted, tables, self._projections, dtype, penalised=bool(self.l2))

    def _check(self, inputs: Mapping[str, Any]) -> None:
        needed = [column.name for column in self._encoded]
        missing = [key for key in needed if key not in inputs]
        if missing:
            raise ValueError(
                f"the encoded batch lacks the columns {missing}: run the raw batch through the Preprocessor. "
                f"Received: {', '.join(sorted(inputs))}"
            )
        self._layout.check(inputs)

    def compute_output_shape(self, input_shape: Mapping[str, Any]) -> Tokens:
        sequences, compared = {}, {}
        for s in self.schema.sequences:
            time = _width(input_shape, s.event_columns[0])
            apart = sum(part[0] in self.schema.candidate_columns for part in s.event_parts) if self.by_side else 0
            sequences[s.name] = (None, time, (len(s.event_parts) - apart) * self.dim)
            if apart:
                compared[s.name] = (None, time, apart * self.dim)
        made: Tokens = {
            "features": (None, len(self.feature_names), self.dim),
            "sequences": sequences,
            "lengths": {s.name: (None,) for s in self.schema.sequences},
            "ids": (None, len(self.feature_names)),
        }
        if self.schema.numbers:
            made["numbers"] = (None, len(self.schema.numbers))
        if compared:
            made["compared"] = compared
        if ages := {s.name: sequences[s.name][:2] for s in self.schema.sequences if s.age is not None}:
            made["ages"] = ages
        return made


def _age(sequence: Events, inputs: Mapping[str, Any]) -> Any:
    """`log(1 + age)` of each event, `[B, T]`, of its encoded age; in float32 or wider."""
    field = sequence.age_field
    assert field is not None
    value = wide(ops.cast(inputs[sequence.column(field.name)], "float32"))
    if field.transform != "none":
        value = value * field.std + field.mean
    return ops.maximum(value if field.transform == "log" else ops.log1p(ops.maximum(value, 0.0)), 0.0)


def _joined(parts: list[Any], axis: int) -> Any:
    return ops.concatenate(parts, axis=axis) if len(parts) > 1 else parts[0]


def _width(shapes: Mapping[str, Any], key: str) -> int | None:
    shape = shapes[key]
    return shape[1] if len(shape) > 1 else None
