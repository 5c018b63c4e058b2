"""Raw columns to the inputs of an ONNX file, in NumPy: without TensorFlow, Keras or pydantic."""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_INT32 = np.int32
# As `tf_interformer.schema.distance` has them, of which nothing is imported here.
_DISTANCE_BOUNDS = (*range(1, 33), *(2**power for power in range(6, 21)))


class EncoderError(ValueError):
    """A raw batch, or the file of a schema, does not fit; the message names the column and the value."""


class Encoder:
    """Looks up, hashes and normalises a raw batch as `Preprocessor(raw, serving=True)` does, to the same ids.

    Columns may be NumPy arrays or lists. Lists of histories or of several values may differ in length; `None` is a
    missing number. Features with `serve_as` take that value, whatever the batch holds, and other columns that the
    schema lacks are ignored.

    Args:
        schema: Path of the file `FILE.schema.json` that `serving.onnx` writes.

    Call:
        `encode(raw)` takes a dict of columns `[batch]`, `[batch, values]` and `[batch, time]`, and returns a dict of
        arrays by the same names, and by those of a sequence's `match` and `distance`: ids and lengths as int32,
        numbers as float32, histories `[batch, max_length]`.

    Raises:
        EncoderError: The file is no learned schema, or it hashes and `pyfarmhash` is not installed. From `encode`: a
            column is missing, of a wrong type, shape or number of rows, or a length is negative or exceeds the events.

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
            unlearned = [f["name"] for f in self._features if f["kind"] == "numeric" and None in (f["mean"], f["std"])]
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
        rows = self._rows(raw)
        raw = {**raw, **{name: [value] * rows for name, value in self._served.items()}}
        encoded: dict[str, np.ndarray] = {}
        for feature in self._features:
            name = feature["name"]
            if feature["kind"] == "numeric":
                encoded.update(_numeric(feature, _floats(name, raw[name], 1)))
            elif feature["kind"] == "vector":
                encoded[name] = _vector(feature, raw[name])
            else:
                encoded[name] = self._ids[name](self._categorical(feature, raw))
        for sequence in self._sequences:
            encoded.update(self._sequence(sequence, raw))
        return encoded

    def _categorical(self, feature: Mapping[str, Any], raw: Mapping[str, Any]) -> np.ndarray:
        name, count = feature["name"], feature.get("max_values")
        value = _values(name, feature, raw[name], 1 if count is None else 2)
        return value if count is None else _widened(value, count, _missing(feature))

    def _rows(self, raw: Mapping[str, Any]) -> int:
        counts = {name: _length(name, raw[name]) for name in self.columns}
        if len(set(counts.values())) > 1:
            raise EncoderError(f"the columns must have the same number of rows. Received: {counts}")
        return next(iter(counts.values()))

    def _sequence(self, sequence: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, np.ndarray]:
        name, limit = sequence["name"], sequence.get("max_length", 50)
        length = _integers(f"{name}_length", raw[f"{name}_length"]).reshape(-1)
        if length.size and length.min() < 0:
            raise EncoderError(f"column '{name}_length' must not be negative. Received: {length.min()}")
        kept = np.minimum(length, limit)
        steps = np.arange(limit)[None]  # [1, max_length]
        encoded = {}
        matched, distant = set(sequence.get("match", ())), set(sequence.get("distance", ()))
        ours: dict[str, np.ndarray] = {}
        distances: dict[str, np.ndarray] = {}
        for field in sequence["fields"]:
            column = f"{name}_{field['name']}"
            events = _values(column, field, raw[column], 2)
            if length.size and length.max() > events.shape[1]:
                raise EncoderError(
                    f"column '{name}_length' exceeds the events in {column!r}, {events.shape[1]}. "
                    f"Received: {length.max()}"
                )
            padded = _widened(events, events.shape[1] + limit, _missing(field))
            window = np.take_along_axis(padded, steps + (length - kept)[:, None], axis=1)
            window[steps >= kept[:, None]] = _missing(field)
            encoded[column] = self._ids[column](window)
            if field["name"] in matched | distant:
                known = _texts(window) != _missing(field)
                if field["name"] in matched:
                    ours[column] = known & self._is_candidate(window, field["table"], raw)
                if field["name"] in distant:
                    distances |= self._distance(column, window, known, field["table"], raw)
        carried = [f"{name}_{field['name']}" for field in sequence["fields"] if field["name"] not in matched | distant]
        for column, found in ours.items():
            encoded |= _match(name, column, carried, found, steps < kept[:, None], kept, encoded)
        encoded |= distances
        encoded[f"{name}_length"] = kept.astype(_INT32)
        return encoded

    def _is_candidate(self, events: np.ndarray, name: str, raw: Mapping[str, Any]) -> np.ndarray:
        """Which events hold the value, or one of the values, of a feature."""
        feature = next(feature for feature in self._features if feature["name"] == name)
        values = _texts(self._categorical(feature, raw)).reshape(len(events), -1)
        same = _texts(events)[:, :, None] == values[:, None, :]
        return np.any(same & (values != _missing(feature))[:, None, :], axis=2)

    def _distance(
        self, column: str, events: np.ndarray, known: np.ndarray, name: str, raw: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """The columns of `tf_interformer.schema.Distance`."""
        feature = next(feature for feature in self._features if feature["name"] == name)
        value = self._categorical(feature, raw)[:, None]
        known = known & (value != _missing(feature))
        gap = value.astype(np.float64) - events.astype(np.float64)
        size = np.searchsorted(_DISTANCE_BOUNDS, np.abs(gap), side="right")
        ids = np.where(known, 2 + len(_DISTANCE_BOUNDS) + np.sign(gap) * size, 0).astype(_INT32)
        _, latest = _latest(known)
        latest_ids = np.where(latest, ids, 0).sum(axis=1).astype(_INT32)
        return {f"{column}_distance": ids, f"{column}_distance_latest": latest_ids}


def _latest(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place of the latest chosen event `[batch]`, from 1, 0 without any; and which event it is."""
    places = chosen * np.arange(1, chosen.shape[1] + 1)
    last = places.max(axis=1, initial=0)
    return last, chosen & (places == last[:, None])


def _match(
    sequence: str,
    column: str,
    carried: Iterable[str],
    ours: np.ndarray,
    real: np.ndarray,
    kept: np.ndarray,
    encoded: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """The columns of `tf_interformer.schema.Match`."""
    last, latest = _latest(ours)
    columns = {
        f"{column}_match": np.where(real, 1 + ours, 0).astype(_INT32),
        f"{column}_match_count": np.log1p(ours.sum(axis=1).astype(np.float32)),
        f"{column}_match_recency": np.where(last > 0, 1 / (kept - last + 1), 0).astype(np.float32),
    }
    for name in carried:
        field = name.removeprefix(f"{sequence}_")
        columns[f"{column}_last_{field}"] = (encoded[name] * latest).sum(axis=1).astype(_INT32)
    return columns


def _texts(values: np.ndarray) -> np.ndarray:
    """Strings where some of them may be bytes; integers as they are."""
    if values.dtype != object:
        return values
    made = np.empty(values.shape, object)
    made.ravel()[:] = [_text(value) for value in values.ravel().tolist()]
    return made


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


def _missing(feature: Mapping[str, Any]) -> Any:
    value = feature.get("missing")
    if value is not None:
        return value
    return -1 if feature.get("dtype") == "int64" else ""


# Categorical values


def _lookups(path: str, features: list, sequences: list) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The functions from values to ids, by column."""
    keyed = {f["name"]: f for f in features if f["kind"] == "categorical"}
    keyed |= {f"{s['name']}_{f['name']}": f for s in sequences for f in s["fields"]}
    owned = {key: _lookup(path, key, f) for key, f in keyed.items() if f.get("table") is None}
    return {key: owned[f.get("table") or key] for key, f in keyed.items()}


def _lookup(path: str, key: str, owner: Mapping[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """The function from the values of one table to ids."""
    missing, vocabulary, buckets = _missing(owner), owner.get("vocabulary"), owner.get("hash_buckets")
    if buckets is not None:
        return _hashing(path, key, buckets, missing)
    if vocabulary is None:
        raise EncoderError(f"{path}: feature {key!r} has no vocabulary: the schema is not learned")
    known = [missing, *vocabulary]
    ids = np.array([0, *range(2, 2 + len(vocabulary))], _INT32)
    if owner.get("dtype") == "int64":
        return _search(np.array(known, np.int64), ids)
    table = dict(zip(known, ids.tolist(), strict=True))

    def look_up(values: np.ndarray) -> np.ndarray:
        return _each(values, lambda flat: (table.get(_text(value), 1) for value in flat))

    return look_up


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

    nothing = {missing, missing.encode()} if isinstance(missing, str) else {missing}

    def bucket(value: Any) -> int:
        if value in nothing:
            return 0
        text = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        return 2 + fingerprint64(text) % buckets

    return lambda values: _each(values, lambda flat: map(bucket, flat))


def _each(values: np.ndarray, function: Callable[[list[Any]], Iterable[int]]) -> np.ndarray:
    return np.fromiter(function(values.ravel().tolist()), _INT32, values.size).reshape(values.shape)


def _text(value: str | bytes) -> str:
    # Bytes that are no UTF-8 equal no value of a vocabulary.
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _values(name: str, feature: Mapping[str, Any], column: Any, rank: int) -> np.ndarray:
    """A categorical column, as strings or bytes (dtype object) or int64."""
    if not isinstance(column, np.ndarray):
        # Not by way of NumPy's own strings, which lose zeros at the end.
        column = _rectangle(name, column, _missing(feature)) if rank == 2 else _objects(column)
    if feature.get("dtype") == "int64":
        return _of_rank(name, _integers(name, column), rank)
    if column.dtype.kind not in "OUST":
        raise EncoderError(f"column {name!r} must hold strings. Received: {column.dtype}")
    array = column.astype(object)
    wrong = [value for value in array.ravel().tolist() if not isinstance(value, (str, bytes))]
    if wrong:
        raise EncoderError(f"column {name!r} must hold strings. Received: {wrong[0]!r:.80}")
    return _of_rank(name, array, rank)


def _integers(name: str, column: Any) -> np.ndarray:
    array = np.asarray(column)
    if array.dtype.kind == "O":
        wrong = [v for v in array.ravel().tolist() if not isinstance(v, int) or isinstance(v, bool)]
    else:
        wrong = array.ravel()[:1].tolist() if array.dtype.kind not in "iu" else []
    if wrong:
        raise EncoderError(f"column {name!r} must hold integers. Received: {wrong[0]!r:.80}")
    if array.size and array.dtype.kind in "Ou" and not -(2**63) <= min(0, array.min()) <= array.max() < 2**63:
        raise EncoderError(f"column {name!r} must hold 64-bit integers. Received: {array.min()} to {array.max()}")
    return array.astype(np.int64)


def _objects(values: Any) -> np.ndarray:
    array = np.empty(len(values), object)
    for place, value in enumerate(values):
        array[place] = value
    return array


def _rectangle(name: str, rows: Any, missing: Any) -> np.ndarray:
    """Rows of different lengths as one array, the shorter ones padded on the right."""
    if any(not isinstance(row, (list, tuple, np.ndarray)) for row in rows):
        raise EncoderError(f"column {name!r} must hold a list in each row")
    array = np.full((len(rows), max((len(row) for row in rows), default=0)), missing, object)
    for place, row in enumerate(rows):
        array[place, : len(row)] = row
    return array


def _widened(values: np.ndarray, width: int, missing: Any) -> np.ndarray:
    """So many values in each row, those after the given ones missing."""
    wider = np.full((len(values), width), missing, values.dtype)
    wider[:, : values.shape[1]] = values[:, :width]
    return wider


# Numbers


def _numeric(feature: Mapping[str, Any], value: np.ndarray) -> dict[str, np.ndarray]:
    missing = np.isnan(value)
    mean, std, transform = np.float32(feature["mean"]), np.float32(feature["std"]), feature.get("transform")
    encoded: dict[str, np.ndarray] = {}
    if feature.get("boundaries") is not None:
        boundaries = np.array(feature["boundaries"], np.float32)
        bucket = 2 + np.searchsorted(boundaries, value, side="right")
        encoded[f"{feature['name']}_bucket"] = np.where(missing, 0, bucket).astype(_INT32)
    if transform == "log":
        value = np.sign(value) * np.log1p(np.abs(value))
    value = np.where(missing, mean, value).astype(np.float32)
    encoded[feature["name"]] = value if transform == "none" else (value - mean) / std
    return encoded


def _vector(feature: Mapping[str, Any], column: Any) -> np.ndarray:
    name, dim = feature["name"], feature["dim"]
    if not isinstance(column, np.ndarray):
        column = [[math.nan] * dim if row is None else row for row in column]
    value = _floats(name, column, 2)
    if value.shape[1] != dim:
        raise EncoderError(f"column {name!r} must hold vectors of length {dim}. Received: shape {value.shape}")
    value = np.where(np.isnan(value).any(axis=1, keepdims=True), np.float32(0), value)
    if not feature.get("normalize", True):
        return value
    return value / np.sqrt(np.maximum(np.sum(value * value, axis=1, keepdims=True), np.float32(1e-12)))


def _floats(name: str, column: Any, rank: int) -> np.ndarray:
    try:
        array = np.asarray(column)
    except ValueError:
        raise EncoderError(f"column {name!r} must hold equally many numbers in each row") from None
    flat = array.ravel().tolist() if array.dtype.kind == "O" else []
    wrong = [value for value in flat if value is not None and not isinstance(value, (int, float, np.number))]
    if wrong or (array.size and array.dtype.kind not in "fiuO"):
        raise EncoderError(f"column {name!r} must hold numbers. Received: {(wrong or array.ravel().tolist())[0]!r:.80}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, in TensorFlow, too
        return _of_rank(name, array.astype(np.float32), rank)


def _of_rank(name: str, array: np.ndarray, rank: int) -> np.ndarray:
    if array.ndim == rank + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != rank:
        raise EncoderError(f"column {name!r} must have rank {rank}. Received: shape {array.shape}")
    return array
