"""Cuts a log by time into the folder that `pipelines.train` reads."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.config import SPLITS, ConfigError
from pipelines.datasets.tables import DataError
from pipelines.own_log.examples import examples, scalar_columns
from pipelines.own_log.history import SECONDS_AGO, Histories, HistorySpec
from pipelines.own_log.log import Log, read_log
from pipelines.own_log.nested import list_series
from pipelines.own_log.roles import find_time, moment_in, seconds_of, unread_times
from pipelines.record_form import say_requests
from pipelines.request_records import request_records
from tf_interformer.requests import check_requests
from tf_interformer.schema import FeatureSchema
from tf_interformer.whole import whole_folder

FRACTIONS = (0.8, 0.1, 0.1)
_ROWS_PER_FILE = 250_000

Ints = NDArray[np.int64]


def split(
    log_file: str,
    schema_file: str,
    output: str,
    *,
    time: str | None = None,
    fractions: Sequence[float] = FRACTIONS,
    random: bool = False,
    at: Sequence[str] | None = None,
    last: int | None = None,
    histories: Sequence[HistorySpec] = (),
    delimiter: str | None = None,
    encoding: str = "utf8",
    time_format: str | None = None,
    by_request: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Write `schema.json` and the Parquet files of train, validation and test.

    The rows of train come before those of validation, and these before those of test; rows of the same time are in
    the same split. The rows of train are written in a random order, those of the others in the order of time.

    Args:
        log_file: The log.
        schema_file: Its schema, as `infer` wrote it and a person edited it.
        output: Folder to write; must not exist. It appears whole or not at all.
        time: Name of the time column; found by its name and values when `None`.
        fractions: Shares of the rows.
        random: Split at random rather than by time.
        at: The times at which validation and test begin, instead of shares.
        last: Of each group's moments the last so many are test and the so many before these validation, instead of
            shares; a group of fewer than three times as many is all in train.
        histories: Sequences to build from each group's earlier rows.
        delimiter: What separates the cells of a text file; found when `None`.
        encoding: Encoding of a text file, by its Python name.
        time_format: How the log writes times, as in `datetime.strptime`; told by the cells when `None`.
        by_request: Whether a record of the files is a request, its user once and all its items, see
            `pipelines.record_form`; the rows of one in a split are one record, wherever they stand.
        say: Where progress goes, a line at a time.

    Raises:
        ConfigError: An option or the schema does not fit the log, or the folder exists.
        DataError: The log cannot be used, or a split would be empty, or rows of a request differ in what is the user's.
    """
    target = Path(output)
    if target.exists():
        raise ConfigError(f"{target} exists already: give another --output, or remove it first")
    _check_fractions(fractions)
    if (at is not None) + (last is not None) + random > 1:
        raise ConfigError("--at, --last and --random exclude each other: give one of them")
    schema = FeatureSchema.from_json(schema_file)
    scalars = scalar_columns(schema)
    for history in histories:
        schema = history.add_to(schema)
    if by_request:
        check_requests(schema)
    log = read_log(log_file, delimiter, scalars, encoding=encoding, time_format=time_format)
    frame = log.frame
    say(f"{log_file}: {frame.height:,} rows read")
    when = find_time(log, time)
    if when is None and (histories or not random):
        what = "a history needs one" if histories else "split by it, or ask for --random"
        unread = "; ".join(f"is `{name}` one? {question}" for name, question in unread_times(log).items())
        raise ConfigError(f"no column holds a time: name one with --time ({what}){'. ' if unread else ''}{unread}")
    if when is not None and frame[when].null_count() and (histories or not random):
        raise DataError(f"the time column `{when}` has {frame[when].null_count():,} empty cells. Remove these rows.")
    table = examples(frame, schema, {history.name for history in histories})
    if when is not None and when not in table.columns:
        table = table.with_columns(frame[when])
    if random:
        places = _random_places(frame.height, fractions)
    else:
        assert when is not None
        if at is not None:
            places = _places_at(frame[when], at)
        elif last is not None:
            places = _last_places(_owners(None, schema, log, table), frame[when], last)
        else:
            places = _places(frame[when], fractions, when)
    seconds = None
    if any(SECONDS_AGO in set(history.fields) - set(table.columns) for history in histories):
        assert when is not None
        seconds = seconds_of(frame[when])
        if seconds is None:
            raise ConfigError(
                f"{SECONDS_AGO} needs a time that counts seconds or parts of them since 1970, or is written as one. "
                f"`{when}` holds {frame[when][0]}"
            )
    builders = {}
    for history in histories:
        assert when is not None
        owners = _owners(history.by, schema, log, table)
        events = None if history.where is None else table[history.where] == 1
        builders[history] = Histories(owners, frame[when], events)
        if not builders[history].before(np.arange(frame.height), 1)[1][-1]:
            raise DataError(
                f"--history {history.name} is empty in every row: no row of one `{owners.name}` is later than an event "
                "of the same. Name whose rows are the events by --history-by."
            )
    try:
        with whole_folder(target) as folder:
            folder.mkdir()
            for name, rows in places.items():
                _write(folder, name, rows, table, builders, seconds, schema if by_request else None)
                say(_summary(name, rows, frame, schema, None if random else when))
            if by_request:
                say_requests(folder)
            schema.to_json(folder / "schema.json")
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror or error}") from error
    say(f"{target} holds schema.json and the splits. Train with:")
    say(f"  {_next_command(target)}")


def _owners(by: str | None, schema: FeatureSchema, log: Log, table: pl.DataFrame) -> pl.Series:
    """Whose each row is; null where nobody's."""
    if by is not None:
        return log.frame[log.column(by, "--history-by")]
    if schema.group is None:
        raise ConfigError("--last needs a schema with a group key, whose last moments are held back")
    groups = table[schema.group]
    return groups.set(groups == _missing_group(schema), None)


def _missing_group(schema: FeatureSchema) -> int | str | None:
    feature = next((f for f in schema.categoricals if f.name == schema.group), None)
    if feature is not None:
        return feature.missing
    return "" if schema.group_dtype == "string" else -1


def _check_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) != len(SPLITS) or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ConfigError(
            f"--fractions must be three positive numbers that add up to 1, as 0.8,0.1,0.1. Received: {list(fractions)}"
        )


def _places(time: pl.Series, fractions: Sequence[float], name: str) -> dict[str, Ints]:
    """Places of each split's rows in the log, in the order of time; a cut never parts rows of the same time."""
    ranks = time.rank("dense").to_numpy()
    order = np.argsort(ranks, kind="stable")
    ranks = ranks[order]
    wanted = np.cumsum(fractions)[:-1] * len(order)
    cuts = [int(np.searchsorted(ranks, ranks[min(round(cut), len(order) - 1)])) for cut in wanted]
    bounds = [0, *cuts, len(order)]
    places = {split: order[a:b] for split, a, b in zip(SPLITS, bounds, bounds[1:], strict=False)}
    empty = [split for split, rows in places.items() if not len(rows)]
    if empty:
        raise DataError(
            f"the split {', '.join(empty)} would be empty: `{name}` has {time.n_unique():,} different times in "
            f"{len(order):,} rows. Name a finer time column with --time, or change --fractions."
        )
    return _shuffled(places)


def _places_at(time: pl.Series, at: Sequence[str]) -> dict[str, Ints]:
    if len(at) != 2:
        raise ConfigError(f"--at takes two times, where validation and where test begin. Received: {','.join(at)!r}")
    first, second = (moment_in(time, text, "--at") for text in at)
    if not first < second:
        raise ConfigError(f"--at: test must begin after validation. Received: {','.join(at)!r}")
    split = (time >= first).cast(pl.Int64) + (time >= second).cast(pl.Int64)
    return _by_number(split, time, f"`{time.name}` goes from {time.min()!s} to {time.max()!s}: change --at")


def _last_places(group: pl.Series, time: pl.Series, last: int) -> dict[str, Ints]:
    if last < 1:
        raise ConfigError(f"--last must be at least 1. Received: {last}")
    rows = pl.DataFrame({"group": group, "time": time}).with_columns(
        from_end=pl.col("time").rank("dense", descending=True).over("group").cast(pl.Int64),
        moments=pl.col("time").n_unique().over("group").cast(pl.Int64),
    )
    held = pl.col("group").is_not_null() & (pl.col("moments") >= len(SPLITS) * last)
    number = (
        pl.when(~held | (pl.col("from_end") > 2 * last)).then(0).when(pl.col("from_end") > last).then(1).otherwise(2)
    )
    split = rows.select(number.alias("split"))["split"]
    return _by_number(split, time, f"no `{group.name}` has {len(SPLITS) * last} moments: change --last")


def _by_number(split: pl.Series, time: pl.Series, hint: str) -> dict[str, Ints]:
    """Places of the rows of splits 0, 1 and 2, in the order of time."""
    order = time.arg_sort().to_numpy().astype(np.int64)
    numbers = split.to_numpy()[order]
    places = {name: order[numbers == number] for number, name in enumerate(SPLITS)}
    empty = [name for name, rows in places.items() if not len(rows)]
    if empty:
        raise DataError(f"the split {', '.join(empty)} would be empty: {hint}")
    return _shuffled(places)


def _shuffled(places: dict[str, Ints]) -> dict[str, Ints]:
    return {**places, "train": np.random.default_rng(0).permutation(places["train"])}


def _random_places(rows: int, fractions: Sequence[float]) -> dict[str, Ints]:
    order = np.random.default_rng(0).permutation(rows).astype(np.int64)
    cuts = np.round(np.cumsum(fractions)[:-1] * rows).astype(int)
    places = dict(zip(SPLITS, np.split(order, cuts), strict=True))
    if not all(len(part) for part in places.values()):
        raise DataError(f"{rows} rows are too few to split")
    return places


def _write(
    folder: Path,
    name: str,
    rows: Ints,
    table: pl.DataFrame,
    histories: dict[HistorySpec, Histories],
    seconds: pl.Series | None,
    of_requests: FeatureSchema | None,
) -> None:
    files = _cut(rows) if of_requests is None else _cut_by_request(rows, _requests(of_requests, table))
    for index, chosen in enumerate(files):
        part = table[chosen]
        for spec, history in histories.items():
            events, offsets = history.before(chosen, spec.max_length)
            for field in spec.fields:
                if field in table.columns:
                    values = table[field].gather(events)
                else:  # how long before its row each event was
                    assert seconds is not None
                    now = seconds.gather(np.repeat(chosen, np.diff(offsets)))
                    values = (now - seconds.gather(events)).cast(pl.Float32)
                part = part.with_columns(list_series(f"{spec.name}_{field}", values, offsets))
        if of_requests is not None:
            part = request_records(part, of_requests)
        path = folder / f"{name}-{index:05d}-of-{len(files):05d}.parquet"
        pq.write_table(part.to_arrow(compat_level=pl.CompatLevel.oldest()), path)


def _requests(schema: FeatureSchema, table: pl.DataFrame) -> pl.Series:
    return table[schema.key_columns["request"][0]]


def _cut(rows: Ints) -> list[Ints]:
    return [rows[start : start + _ROWS_PER_FILE] for start in range(0, len(rows), _ROWS_PER_FILE)]


def _cut_by_request(rows: Ints, requests: pl.Series) -> list[Ints]:
    """The same with the rows of each request together, where its first one is."""
    keys = pl.DataFrame({"request": requests.gather(rows)}).with_row_index("place")
    firsts = keys.select(pl.col("place").min().over("request"))["place"].to_numpy()
    order = np.argsort(firsts, kind="stable")
    begins = np.flatnonzero(np.diff(firsts[order], prepend=-1))
    cuts = np.searchsorted(begins, np.arange(_ROWS_PER_FILE, len(rows), _ROWS_PER_FILE))
    return np.split(rows[order], np.unique(begins[cuts[cuts < len(begins)]]))


def _summary(name: str, rows: Ints, frame: pl.DataFrame, schema: FeatureSchema, when: str | None) -> str:
    rates = []
    for task in schema.tasks:
        rate = frame[task].gather(rows).sum() / len(rows)
        rates.append(f"{task} {rate:.2%}")
        if rate in (0, 1):
            rates[-1] += f" (all {rate:.0f}: AUC is undefined here)"
    span = ""
    if when is not None:
        times = frame[when].gather(rows)
        first, last = str(times.min()), str(times.max())
        span = f", {first} to {last}"
    return f"{name}: {len(rows):,} rows{span}, {', '.join(rates)}"


def _next_command(folder: Path) -> str:
    parts = ["tf-interformer", "train", "--config", "own_log", "--data-dir", str(folder)]
    return shlex.join([*parts, "--output", f"runs/{folder.name}"])
