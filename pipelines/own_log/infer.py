"""Proposes the `FeatureSchema` of a log."""

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from pipelines.config import ConfigError
from pipelines.datasets.tables import DataError
from pipelines.own_log.finding import Finding
from pipelines.own_log.leaks import THRESHOLD, LeakTest
from pipelines.own_log.log import Log, read_log
from pipelines.own_log.roles import find_group, find_labels, find_request, find_time, unread_times
from pipelines.own_log.scalars import describe, propose_scalar, without_strangers
from pipelines.own_log.sequences import propose_lists
from pipelines.own_log.types import feature_dtype
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric
from tf_interformer.schema import Sequence as History

# What a column that is kept, but may be a leak, is remarked with.
_STRONG_AUC, _STRONG = 0.8, "strong alone: is it known before the impression?"


@dataclass(frozen=True)
class Proposal:
    """A schema, not yet learned, and what it was concluded from.

    Args:
        schema: The schema.
        findings: One per column of the log, in its order.
        time: Name of the column that says when a row was; None when there is none.
        notes: Lines for a person to read.
        unread: Columns that are called like a time, where none could be read, and what must be known of each.
    """

    schema: FeatureSchema
    findings: tuple[Finding, ...]
    time: str | None
    notes: tuple[str, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person must look at."""
        return tuple(found.warning for found in self.findings if found.warning)


def propose(
    log: Log,
    labels: Sequence[str] = (),
    group: str | None = None,
    time: str | None = None,
    name: str = "log",
    request: str | None = None,
) -> Proposal:
    """Propose a schema.

    Args:
        log: The log.
        labels: Names of the labels; found by their names when empty.
        group: Name of the group key; found by its name when `None`.
        time: Name of the time column; found by its name and values when `None`.
        name: Name of the schema.
        request: Name of the column that says in which list a row was shown; found by its name and values when `None`.

    Raises:
        ConfigError: A named column does not exist or has a role already, or there is no label.
        DataError: The label does not hold 0 and 1, or no feature is left.
    """
    frame = log.frame
    labels = find_labels(log, labels)
    group, time = find_group(log, group), find_time(log, time)
    request = find_request(log, request, group, time)
    for role, column in (("--group", group), ("--time", time), ("--request", request)):
        if column in labels:
            raise ConfigError(f"{role} {column!r} is the label")
    if request is not None and request in (group, time):
        raise ConfigError(f"--request {request!r} is the {'group key' if request == group else 'time'}")
    found: dict[str, Finding] = {}
    for label in labels:
        share = frame[label].sum() / frame.height
        found[label] = replace(describe(frame[label]), kind="label", remark=f"{share:.2%} are 1")
    if time is not None:
        found[time] = replace(describe(frame[time]), kind="time", remark="cuts the splits; no feature")
    if request is not None:
        found[request] = replace(describe(frame[request]), kind="list key", remark="the rows shown at once; no feature")
    others = [series for series in frame.get_columns() if series.name not in found]
    lists = [series for series in others if isinstance(series.dtype, pl.List)]
    tests = [LeakTest(frame, label) for label in labels]
    for series in others:
        if not isinstance(series.dtype, pl.List):
            found[series.name] = _tested(_read(propose_scalar(series, group), log), series, tests)
    scalars = {
        n: frame[n] for n, f in found.items() if f.is_feature and f.feature is not None and f.feature.has_vocabulary
    }
    findings, sequences = propose_lists(lists, scalars)
    found |= {f.column: _tested_list(_read(f, log), frame, tests) for f in findings}
    sequences = _without(sequences, found)
    if time is not None:
        # What a history repeats is told of new values, too.
        tables = {field.table for sequence in sequences for field in sequence.categoricals}
        for column in scalars:
            if column not in tables:
                found[column] = without_strangers(found[column], frame[column], frame[time], group)
    for sequence in sequences:
        if sequence.length_column in found:
            found[sequence.length_column] = found[sequence.length_column].left_out("the events are counted instead")
    features = [
        found[series.name].feature
        for series in others
        if found[series.name].is_feature and not found[series.name].kind.startswith("sequence")
    ]
    if not features:
        raise DataError(f"no column is left that can be a feature: {'; '.join(_left_out(found)) or 'there is none'}")
    candidate = () if request is None else _differing(frame, request, features, sequences)
    schema = FeatureSchema(
        name=name,
        features=tuple(f for f in features if f is not None),
        sequences=tuple(sequences),
        labels=tuple(Label(name=label) for label in labels),
        group=group,
        group_dtype="int64" if group is None else feature_dtype(frame[group]),
        request=request,
        request_dtype="int64" if request is None else feature_dtype(frame[request]),
        candidate=candidate,
    )
    notes = [f"the column {old!r} is called {new!r} from here on" for old, new in log.renamed.items()]
    if candidate:
        notes.append(f"what differs within a list is the candidate's, all else the user's: {', '.join(candidate)}")
    if not all(test.enough for test in tests):
        notes.append("too few rows to look for leaks: an AUC needs 20 rows of each label in half of the log")
    unread = unread_times(log) if time is None else {}
    return Proposal(schema, tuple(found[column] for column in frame.columns), time, tuple(notes), unread)


def _differing(
    frame: pl.DataFrame, request: str, features: Sequence[Categorical | Numeric | None], sequences: Sequence[History]
) -> tuple[str, ...]:
    """The features that differ within a list, and with these what is compared with events; none where none differ."""
    places = pl.DataFrame({"list": frame[request]}).with_row_index("place")
    firsts = places.select(pl.col("place").first().over("list"))["place"]
    names = [feature.name for feature in features if feature is not None]
    differ = {name for name in names if not frame[name].eq_missing(frame[name].gather(firsts)).all()}
    compared = {comparison.feature for sequence in sequences for comparison in sequence.comparisons}
    return tuple(name for name in names if name in differ | compared) if differ else ()


def _read(finding: Finding, log: Log) -> Finding:
    """The finding with what is to be known of how the column was read; left out where that is a question."""
    question = log.questions.get(finding.column)
    if question is not None and finding.is_feature:
        return finding.left_out(f"cannot be read: {question}", f"`{finding.column}` cannot be read: {question}")
    remarks = [remark for remark in (log.remarks.get(finding.column), finding.remark) if remark]
    return replace(finding, remark="; ".join(remarks))


def _tested(finding: Finding, column: pl.Series, tests: list[LeakTest]) -> Finding:
    """The finding with its AUC, and left out when it gives a label away."""
    if not finding.is_feature:
        return finding
    finding = replace(finding, lone_auc=max((test.lone_auc(column) for test in tests), key=_or_zero))
    reason = next((reason for test in tests if (reason := test.reason(column))), None)
    if reason is None:
        strong = f"{_STRONG}; {finding.remark}".removesuffix("; ")
        return replace(finding, remark=strong) if finding.lone_auc > _STRONG_AUC else finding
    return finding.left_out(f"likely a leak: {reason}", f"`{column.name}` likely leaks the label: {reason}")


def _tested_list(finding: Finding, frame: pl.DataFrame, tests: list[LeakTest]) -> Finding:
    """The same of a list: its length, its values or last event, and whether the row's own value is among them."""
    if not finding.is_feature:
        return finding
    values = frame[finding.column].fill_null([])
    derived = {"its length": values.list.len().cast(pl.Int64), "its last value": values.list.last()}
    if finding.kind == "multi-valued":
        derived["its values"] = values
    table = None if finding.feature is None else finding.feature.shares_table
    if table is not None and frame[table].dtype == values.dtype.inner:  # type: ignore[attr-defined]
        pair = pl.DataFrame({"list": values, "own": frame[table]})
        own = pair.select(pl.col("list").list.contains(pl.col("own")).cast(pl.Int64))["list"]
        last = pair.select((pl.col("list").list.last() == pl.col("own")).fill_null(False).cast(pl.Int64))["list"]
        derived |= {f"whether it holds the row's own {table}": own, f"whether it ends in the row's own {table}": last}
    best, what = 0.0, ""
    for part, column in derived.items():
        for test in tests:
            value = _or_zero(test.lone_auc(column))
            best, what = max((best, what), (value, part))
    finding = replace(finding, lone_auc=best or math.nan)
    if best <= THRESHOLD:
        return finding
    reason = f"{what} alone predicts the label: AUC {best:.3f} on rows held out"
    return finding.left_out(f"likely a leak: {reason}", f"`{finding.column}` likely leaks the label: {reason}")


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _without(sequences: list[History], found: dict[str, Finding]) -> list[History]:
    """The sequences without the fields that were left out."""
    kept = []
    for sequence in sequences:
        fields = tuple(
            field
            for field in sequence.fields
            if any(f.feature is field and f.kind == f"sequence {sequence.name}" for f in found.values())
        )
        if fields:
            names = {field.name for field in fields}
            match, distance = (tuple(n for n in chosen if n in names) for chosen in (sequence.match, sequence.distance))
            kept.append(sequence.replace(fields=fields, match=match, distance=distance))
    return kept


def _left_out(found: dict[str, Finding]) -> list[str]:
    return [f"`{f.column}`: {f.remark}" for f in found.values() if f.kind == "left out"]


def table_of(proposal: Proposal) -> str:
    """The findings as lines to read."""
    head = ("column", "proposed as", "distinct", "missing", "AUC alone", "remark")
    rows = [head]
    for f in proposal.findings:
        lone = "" if math.isnan(f.lone_auc) else f"{f.lone_auc:.3f}"
        rows.append((f.column, f.kind, f"{f.distinct:,}", f"{f.missing:.1%}", lone, f.remark))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    right = {2, 3, 4}
    return "\n".join(
        "  ".join(cell.rjust(width) if i in right else cell.ljust(width) for i, (cell, width) in enumerate(
            zip(row, widths, strict=True)
        )).rstrip()
        for row in rows
    )  # fmt: skip


def infer(
    log_file: str,
    output: str,
    labels: Sequence[str] = (),
    group: str | None = None,
    time: str | None = None,
    delimiter: str | None = None,
    say: Callable[[str], None] = print,
    request: str | None = None,
    encoding: str = "utf8",
    time_format: str | None = None,
) -> Proposal:
    """Read a log, write the proposed schema and say what it is; see the package's text.

    Raises:
        ConfigError: The output exists already, or an option does not fit the log.
        DataError: The log cannot be used.
    """
    target = Path(output)
    if target.exists():
        raise ConfigError(f"{target} exists already, perhaps edited: give another --output, or remove it first")
    if not target.parent.is_dir():
        raise ConfigError(f"the folder {target.parent} of --output does not exist")
    log = read_log(log_file, delimiter, encoding=encoding, time_format=time_format)
    say(f"{log_file}: {log.frame.height:,} rows, {log.frame.width} columns")
    proposal = propose(log, labels, group, time, name=_name(log_file), request=request)
    say(table_of(proposal))
    for note in proposal.notes:
        say(f"note: {note}")
    for warning in proposal.warnings:
        say(f"WARNING: {warning}")
    for column, question in proposal.unread.items():
        say(f"QUESTION: is `{column}` the time? As such it cannot be read: {question}")
    left_out = [f.column for f in proposal.findings if f.kind == "left out"]
    if left_out:
        example = _entry(next(f for f in proposal.findings if f.column == left_out[0]), log.frame[left_out[0]])
        say(f'left out: {", ".join(left_out)}. To put one back, add it to "features" in {target}, as {example}')
    if proposal.schema.sequences:
        say(f"sequences: {', '.join(s.name for s in proposal.schema.sequences)}; their events must be oldest first")
    proposal.schema.to_json(target)
    say(f"{target} holds the proposal: read it, edit it. Then:")
    options = {"--delimiter": delimiter, "--encoding": None if encoding == "utf8" else encoding,
               "--time-format": time_format}  # fmt: skip
    say(f"  {_next_command(log_file, target, proposal, time, options)}")
    return proposal


def _name(log_file: str) -> str:
    return Path(log_file).stem or "log"


def _entry(found: Finding, column: pl.Series) -> str:
    """The column as it would stand in the schema's JSON."""
    feature: Categorical | Numeric = found.feature or Categorical(name=found.column, dtype=feature_dtype(column))
    return feature.model_dump_json(include={"kind", "name", "dtype", "transform"})


def _next_command(
    log_file: str, schema: Path, proposal: Proposal, time: str | None, options: Mapping[str, str | None]
) -> str:
    parts = ["tf-interformer", "schema", "split", log_file, "--schema", str(schema), "--output", "DIR"]
    if proposal.unread:
        # Rows of a log with a time are never proposed to be split at random.
        parts += ["--time", next(iter(proposal.unread))]
        options = {**options, "--time-format": options["--time-format"] or "FORMAT"}
    elif proposal.time is None:
        parts += ["--random"]
    elif time is not None:
        parts += ["--time", proposal.time]
    for option, value in options.items():
        parts += [option, value] if value is not None else []
    return shlex.join(parts)
