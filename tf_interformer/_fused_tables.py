"""Where the rows of ids lie: all tables of one width are one, read by a single gather."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tf_interformer._keras import ops
from tf_interformer.layers._lookup import take_rows
from tf_interformer.schema import EncodedColumn

# Tables of no more ids are never taken for unknown in training; ids are drawn by so many groups.
FEW_IDS, _GROUPS = 256, 4096


@dataclass(frozen=True)
class Place:
    """One encoded id column: where its rows lie in the fused table of its width."""

    key: str
    width: int
    offset: int
    rows: int


class FusedTables:
    """The layout of the fused tables, and how they are read.

    Args:
        columns: Iterable of `EncodedColumn`. Those of a learned schema.
        dim: int. Width of the tables that have none of their own.
    """

    def __init__(self, columns: Iterable[EncodedColumn], dim: int) -> None:
        self.rows: dict[int, int] = {}  # of the fused table of each width
        self.places: dict[str, Place] = {}
        tables: dict[str, Place] = {}
        for column in columns:
            if column.table is None:
                continue
            if column.table not in tables:
                assert column.num_ids is not None
                width = column.embedding_dim or dim
                tables[column.table] = Place(column.table, width, self.rows.get(width, 0), column.num_ids)
                self.rows[width] = self.rows.get(width, 0) + column.num_ids
            self.places[column.name] = replace(tables[column.table], key=column.name)

    def forgotten(self, inputs: Mapping[str, Any], forget: Callable[..., Any]) -> Mapping[str, Any]:
        """The inputs with the ids that a training step takes for unknown, as the dropout `forget` has it."""
        found = dict(inputs)
        for width in sorted(self.rows):
            columns = [place for place in self.places.values() if place.width == width and place.rows > FEW_IDS]
            if not columns:
                continue
            known = forget(ops.ones((_GROUPS,)), training=True) > 0
            for column in columns:
                ids = ops.cast(inputs[column.key], "int32")
                # Neighbours in the table, which are about as frequent, are in different groups.
                group = ops.mod(ids + column.offset, _GROUPS)
                kept = ops.logical_or(ops.take(known, group), ids < 2)
                found[column.key] = ops.where(kept, ids, ops.ones_like(ids))
        return found

    def gather(
        self,
        inputs: Mapping[str, Any],
        wanted: Iterable[Place],
        tables: Mapping[str, Any],
        projections: Mapping[str, Any],
        dtype: str,
        penalised: bool,
    ) -> tuple[dict[str, Any], Any]:
        """Embedding of id columns `[B, columns, D]`, by one gather per width, and of each row the sum of their squares.

        Args:
            inputs: dict of tensors. An encoded batch.
            wanted: The columns.
            tables: dict. The fused table of each width, by its text.
            projections: dict. What brings rows of another width to the model's.
            dtype: str. What is computed in.
            penalised: bool. Whether the sum is asked for; else it is 0.
        """
        found: dict[str, Any] = {}
        penalty: Any = 0.0
        for width, table in tables.items():
            columns = [place for place in wanted if str(place.width) == width]
            if not columns:
                continue
            matrices = [_as_matrix(inputs[column.key]) for column in columns]  # each [B, values]
            widths = [matrix.shape[1] for matrix in matrices]
            ends, offsets = (
                np.repeat(np.array(numbers, "int32"), widths)
                for numbers in ([place.rows for place in columns], [place.offset for place in columns])
            )
            ids = ops.concatenate(matrices, axis=1)  # all at once: what a graph for few rows costs is its operations
            # An id past its vocabulary must not read another feature's rows.
            safe = ops.where(ops.logical_and(ids >= 0, ids < ends), ids, 1) + offsets
            rows = take_rows(table, safe)  # [B, all values, width]
            rows = ops.cast(rows, dtype) * ops.cast(ops.expand_dims(ids != 0, axis=-1), dtype)
            if penalised:
                penalty = penalty + ops.sum(ops.square(ops.cast(rows, "float32")), axis=(1, 2))
            if width in projections:
                rows = projections[width](rows)
            # One split, whose gradient is one concatenation; slices would each pad theirs to the full width.
            parts = ops.split(rows, np.cumsum(widths)[:-1].tolist(), axis=1) if widths[1:] else [rows]
            found |= {column.key: part for column, part in zip(columns, parts, strict=True)}
        return found, penalty

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Refuse ids out of range, in eager mode.

        Raises:
            ValueError: One is.
        """
        for column in self.places.values():
            ids = _eager_numpy(inputs[column.key])
            if ids is None:
                return  # inside a graph: ids out of range read the out-of-vocabulary row
            if ids.size and (ids.min() < 0 or ids.max() >= column.rows):
                raise ValueError(
                    f"ids of {column.key!r} must lie in [0, {column.rows}). Received: {ids.min()} to {ids.max()}"
                )


def pool(rows: Any, ids: Any, pooling: str | None) -> Any:
    """The token `[B, 1, D]` of a column of ids."""
    if pooling is None:
        return rows
    present = ops.cast(ops.expand_dims(ops.cast(ids, "int32") != 0, axis=-1), rows.dtype)  # [B, values, 1]
    if pooling == "max":
        lowest = ops.where(present > 0, rows, ops.cast(-1e4, rows.dtype))
        some = ops.max(present, axis=1, keepdims=True)
        return ops.max(lowest, axis=1, keepdims=True) * some
    total = ops.sum(rows, axis=1, keepdims=True)
    if pooling == "sum":
        return total
    return total / ops.maximum(ops.sum(present, axis=1, keepdims=True), 1)


def _as_matrix(ids: Any) -> Any:
    ids = ops.cast(ids, "int32")
    return ops.expand_dims(ids, axis=1) if len(ids.shape) == 1 else ids


def _eager_numpy(value: Any) -> Any:
    """The value as NumPy when it is at hand, None while tracing."""
    try:
        return ops.convert_to_numpy(value)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return None
