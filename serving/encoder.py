"""Raw columns to the inputs of an ONNX file, in NumPy: without TensorFlow, Keras or pydantic."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tf_interformer import columns
from tf_interformer.comparisons import DISTANCE_BOUNDS, Distance, Match, distances_of, matches_of
from tf_interformer.errors import UserError

_INT32 = np.int32


class EncoderError(UserError):
    """A raw batch, or the file of a schema, does not fit; the message names the column and the value."""


class Encoder:
    """Looks up, hashes and normalises a raw batch as `Preprocessor(raw, serving=True)` does, to the same ids.

    Columns may be NumPy arrays or lists. Lists of histories or of several values may differ in length; `None` and NaN
    are missing, see `tf_interformer.columns`. Features with `serve_as` take that value, whatever the batch holds, and
    other columns that the schema lacks are ignored.

    Args:
        schema: Path of the file `FILE.schema.json` that `serving.onnx` writes.

    Call:
        `encode(raw)` takes a dict of columns `[batch]`, `[batch, values]` and `[batch, time]`, and returns a dict of
        arrays by the same names, and by those of a sequence's `match` and `distance`: ids and lengths as int32,
        numbers as float32, histories `[batch, max_length]`.

    Raises:
        EncoderError: The file is no learned schema, or it hashes and `pyfarmhash` is not installed. From `encode`: a
            column is missing, of a wrong type, shape or number of rows, a number is infinite, or a length is negative
            or exceeds the events.

    Example:

    >>> import tempfile
    >>> schema = {"features": [{"kind": "categorical", "name": "country", "vocabulary": ["NL", "BR"]}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "model.schema.json"
    ...     _ = path.write_text(json.dumps(schema))
    ...     encoder = Encoder(path)
    >>> encoder.encode({"country": ["BR", "", "XX"]})["country"].tolist()
    [3, 0, 1]
    """

    def __init__(self, schema: str | os.PathLike) -> None:
        config = _read(Path(schema))
        try:
            self._features: list[dict[str, Any]] = config["features"]
            self._sequences: list[dict[str, Any]] = config.get("sequences", [])
            self._served = {f["name"]: f["serve_as"] for f in self._features if f.get("serve_as") is not None}
            self._ids = _lookups(str(schema), self._features, self._sequences)
            fields = [field for sequence in self._sequences for field in sequence["fields"]]
            numeric = [f for f in (*self._features, *fields) if _is_numeric(f)]
            unlearned = [f["name"] for f in numeric if None in (f["mean"], f["std"])]
        except (KeyError, TypeError, AttributeError) as error:
            raise EncoderError(
                f"{schema} holds no schema that was written with a model: {type(error).__name__} {error}"
            ) from None
        if unlearned:
            raise EncoderError(f"{schema}: feature {unlearned[0]!r} has no statistics: the schema is not learned")

    @property
    def columns(self) -> list[str]:
        """Names of the raw columns that `encode` needs."""
        names = [f["name"] for f in self._features if f["name"] not in self._served]
        for sequence in self._sequences:
            names += [f"{sequence['name']}_{field['name']}" for field in sequence["fields"]]
            names.append(f"{sequence['name']}_length")
        return names

    def encode(self, raw: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The encoded batch; see the class."""
        missing = [name for name in self.columns if name not in raw]
        if missing:
            raise EncoderError(f"the columns {missing} are missing. Received: {', '.join(sorted(raw))}")
        try:
            return self._encoded(raw)
        except columns.ColumnError as error:
            raise EncoderError(str(error)) from None

    def _encoded(self, raw: Mapping[str, Any]) -> dict[str, np.ndarray]:
        rows = self._rows(raw)
        raw = {**raw, **{name: [value] * rows for name, value in self._served.items()}}
        encoded: dict[str, np.ndarray] = {}
        for feature in self._features:
            name = feature["name"]
            if _is_numeric(feature):
                encoded.update(_numeric(feature, columns.numbers(name, raw[name])))
            elif feature["kind"] == "vector":
                encoded[name] = _vector(feature, columns.vectors(name, raw[name], feature["dim"]))
            else:
                encoded[name] = self._ids[name](self._categorical(feature, raw))
        for sequence in self._sequences:
            encoded.update(self._sequence(sequence, raw))
        return encoded

    def _categorical(self, feature: Mapping[str, Any], raw: Mapping[str, Any]) -> np.ndarray:
        name, count = feature["name"], feature.get("max_values")
        if count is None:
            return columns.values(name, raw[name], _dtype(feature), _missing(feature))
        return columns.lists(name, raw[name], _dtype(feature), _missing(feature)).first(count, _missing(feature))

    def _rows(self, raw: Mapping[str, Any]) -> int:
        counts = {name: _length(name, raw[name]) for name in self.columns}
        if len(set(counts.values())) > 1:
            raise EncoderError(f"the columns must have the same number of rows. Received: {counts}")
        return next(iter(counts.values()))

    def _sequence(self, sequence: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, np.ndarray]:
        name, limit = sequence["name"], sequence.get("max_length", 50)
        length = columns.counts(f"{name}_length", raw[f"{name}_length"])
        kept = np.minimum(length, limit)
        real = np.arange(limit)[None] < kept[:, None]  # [B, max_length]
        encoded: dict[str, np.ndarray] = {}
        windows: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # the events as they are, and which are known
        tables: dict[str, str | None] = {}
        numbers = [field["name"] for field in sequence["fields"] if _is_numeric(field)]
        for field in sequence["fields"]:
            column = f"{name}_{field['name']}"
            events = columns.lists(column, raw[column], _dtype(field), _missing(field))
            columns.check_lengths(f"{name}_length", length, column, events)
            window = events.last(length, limit, _missing(field))
            if _is_numeric(field):
                encoded[column] = np.where(real, _scaled(field, window), np.float32(0))
                continue
            encoded[column] = self._ids[column](window)
            tables[field["name"]] = field.get("table")
            windows[column] = window, window != _missing(field)
        matched, distant = sequence.get("match", ()), sequence.get("distance", ())
        for match in matches_of(name, tables, numbers, matched, distant):
            window, known = windows[match.field]
            ours = known & self._is_candidate(window, match.feature, raw)
            encoded |= _match_columns(match, ours, real, kept, encoded)
        for distance in distances_of(name, tables, distant):
            encoded |= self._distance_columns(distance, *windows[distance.field], raw)
        encoded[f"{name}_length"] = kept.astype(_INT32)
        return encoded

    def _is_candidate(self, events: np.ndarray, name: str, raw: Mapping[str, Any]) -> np.ndarray:
        """Which events hold the value, or one of the values, of a feature."""
        feature = next(feature for feature in self._features if feature["name"] == name)
        values = self._categorical(feature, raw).reshape(len(events), -1)
        same = events[:, :, None] == values[:, None, :]
        return np.any(same & (values != _missing(feature))[:, None, :], axis=2)

    def _distance_columns(
        self, distance: Distance, events: np.ndarray, known: np.ndarray, raw: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        feature = next(feature for feature in self._features if feature["name"] == distance.feature)
        value = self._categorical(feature, raw)[:, None]
        known = known & (value != _missing(feature))
        gap = value.astype(np.float64) - events.astype(np.float64)
        size = np.searchsorted(DISTANCE_BOUNDS, np.abs(gap), side="right")
        ids = np.where(known, 2 + len(DISTANCE_BOUNDS) + np.sign(gap) * size, 0).astype(_INT32)
        _, latest = _latest(known)
        (column,) = distance.latest
        return {distance.events: ids, column: np.where(latest, ids, 0).sum(axis=1).astype(_INT32)}


def _latest(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place of the latest chosen event `[batch]`, from 1, 0 without any; and which event it is."""
    places = chosen * np.arange(1, chosen.shape[1] + 1)
    last = places.max(axis=1, initial=0)
    return last, chosen & (places == last[:, None])


def _match_columns(
    match: Match, ours: np.ndarray, real: np.ndarray, kept: np.ndarray, encoded: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    last, latest = _latest(ours)
    found = {
        match.events: np.where(real, 1 + ours, 0).astype(_INT32),
        match.count: np.log1p(ours.sum(axis=1).astype(np.float32)),
        match.recency: np.where(last > 0, 1 / (kept - last + 1), 0).astype(np.float32),
    }
    found |= {name: (encoded[key] * latest).sum(axis=1).astype(_INT32) for name, key in match.latest.items()}
    return found | {
        name: np.where(latest, encoded[key], 0).sum(axis=1, dtype=np.float32)
        for name, key in match.latest_numbers.items()
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EncoderError(f"cannot read the schema {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise EncoderError(f"{path} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise EncoderError(f"{path} holds no schema: give the .schema.json that was written with the model")
    return config


def _length(name: str, column: Any) -> int:
    try:
        return len(column)
    except TypeError:
        raise EncoderError(f"column {name!r} must hold a value for each row. Received: {column!r:.80}") from None


def _is_numeric(feature: Mapping[str, Any]) -> bool:
    return feature.get("kind") == "numeric"


def _dtype(feature: Mapping[str, Any]) -> str:
    return "float32" if _is_numeric(feature) else feature.get("dtype", "string")


def _missing(feature: Mapping[str, Any]) -> Any:
    if _is_numeric(feature):
        return np.float32(np.nan)
    value = feature.get("missing")
    if value is not None:
        return value
    return -1 if _dtype(feature) == "int64" else ""


# Categorical values


def _lookups(path: str, features: list, sequences: list) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The functions from values to ids, by column."""
    keyed = {f["name"]: f for f in features if f["kind"] == "categorical"}
    keyed |= {f"{s['name']}_{f['name']}": f for s in sequences for f in s["fields"] if not _is_numeric(f)}
    owned = {key: _lookup(path, key, f) for key, f in keyed.items() if f.get("table") is None}
    return {key: owned[f.get("table") or key] for key, f in keyed.items()}


def _lookup(path: str, key: str, owner: Mapping[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """The function from the values of one table to ids."""
    missing, vocabulary, buckets = _missing(owner), owner.get("vocabulary"), owner.get("hash_buckets")
    if buckets is not None:
        return _hashing(path, key, buckets, missing)
    if vocabulary is None:
        raise EncoderError(f"{path}: feature {key!r} has no vocabulary: the schema is not learned")
    table = columns.ids_by_value(missing, vocabulary)
    if _dtype(owner) == "int64":
        return _search(np.array(list(table), np.int64), np.array(list(table.values()), _INT32))
    return lambda values: _each(values, lambda flat: (table.get(value, 1) for value in flat))


def _search(known: np.ndarray, ids: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    order = np.argsort(known)
    known, ids = known[order], ids[order]

    def look_up(values: np.ndarray) -> np.ndarray:
        places = np.minimum(np.searchsorted(known, values), len(known) - 1)
        return np.where(known[places] == values, ids[places], _INT32(1))

    return look_up


def _hashing(path: str, key: str, buckets: int, missing: Any) -> Callable[[np.ndarray], np.ndarray]:
    try:
        from farmhash import fingerprint64
    except ImportError:
        raise EncoderError(f"{path}: feature {key!r} is hashed, which needs: pip install pyfarmhash") from None

    def bucket(value: Any) -> int:
        return 0 if value == missing else 2 + fingerprint64(str(value).encode()) % buckets

    return lambda values: _each(values, lambda flat: map(bucket, flat))


def _each(values: np.ndarray, function: Callable[[list[Any]], Iterable[int]]) -> np.ndarray:
    return np.fromiter(function(values.ravel().tolist()), _INT32, values.size).reshape(values.shape)


# Numbers


def _numeric(feature: Mapping[str, Any], value: np.ndarray) -> dict[str, np.ndarray]:
    encoded = {feature["name"]: _scaled(feature, value)}
    if feature.get("boundaries") is not None:
        boundaries = np.array(feature["boundaries"], np.float32)
        bucket = 2 + np.searchsorted(boundaries, value, side="right")
        encoded[f"{feature['name']}_bucket"] = np.where(np.isnan(value), 0, bucket).astype(_INT32)
    return encoded


def _scaled(feature: Mapping[str, Any], value: np.ndarray) -> np.ndarray:
    """Numbers as the model reads them, NaN as the mean."""
    missing = np.isnan(value)
    mean, std, transform = np.float32(feature["mean"]), np.float32(feature["std"]), feature.get("transform")
    if transform == "log":
        value = np.sign(value) * np.log1p(np.abs(value))
    value = np.where(missing, mean, value).astype(np.float32)
    return value if transform == "none" else (value - mean) / std


def _vector(feature: Mapping[str, Any], value: np.ndarray) -> np.ndarray:
    value = np.where(np.isnan(value).any(axis=1, keepdims=True), np.float32(0), value)
    if not feature.get("normalize", True):
        return value
    return value / np.sqrt(np.maximum(np.sum(value * value, axis=1, keepdims=True), np.float32(1e-12)))
