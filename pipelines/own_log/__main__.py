"""The command line: `tf-interformer schema infer` and `tf-interformer schema split`."""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace

from pipelines import own_log
from pipelines.config import ConfigError
from pipelines.own_log.history import NAME, HistorySpec, unquoted
from pipelines.own_log.infer import infer
from pipelines.own_log.split import FRACTIONS, split
from tf_interformer.command import command_parser, run_command


def _fractions(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--fractions takes three numbers, as 0.8,0.1,0.1. Received: {text!r}") from None


def _histories(texts: Sequence[str], wheres: Sequence[str], owners: Sequence[str]) -> list[HistorySpec]:
    """The sequences to build; `--history-where click` holds for all of them, `viewed=click` for one."""
    specs = [HistorySpec.parse(text) for text in texts]
    names = [spec.name for spec in specs]
    if len(set(names)) < len(names):
        raise ConfigError(f"--history: every sequence needs a name of its own. Received: {', '.join(names)}")
    where, by = (_of_names(*option, names) for option in (("--history-where", wheres), ("--history-by", owners)))
    return [replace(spec, where=where.get(spec.name), by=by.get(spec.name)) for spec in specs]


def _of_names(option: str, values: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """`[NAME=]COLUMN` options, by name."""
    parts = [re.fullmatch(rf"(?:({NAME})=)?({NAME})", value) for value in values]
    if wrong := [value for value, part in zip(values, parts, strict=True) if part is None]:
        raise ConfigError(f"{option} takes NAME=COLUMN or COLUMN. Received: {wrong[0]!r}")
    told = [(part[1], unquoted(part[2])) for part in parts if part is not None]
    general = [column for name, column in told if name is None]
    of_one = {unquoted(name): column for name, column in told if name is not None}
    if len(general) > 1:
        raise ConfigError(f"{option}: one for all sequences at most. Received: {', '.join(general)}")
    unknown = sorted(set(of_one) - set(names)) or (values if not names else [])
    if unknown:
        raise ConfigError(f"{option}: there is no --history for {', '.join(unknown)}")
    return {**dict.fromkeys(names, *general), **of_one} if general else of_one


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("schema", own_log.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    inferring = commands.add_parser("infer", help="propose the schema of a log")
    splitting = commands.add_parser("split", help="cut a log by time into the folder that pipelines.train reads")
    for command in (inferring, splitting):
        command.add_argument("log", metavar="LOG", help="CSV file with a header, or .parquet file")
        command.add_argument("--time", metavar="COLUMN", help="when a row was (default: found by name and values)")
        command.add_argument("--delimiter", metavar="TEXT", help="what separates the cells of a CSV (default: found)")
        command.add_argument("--encoding", default="utf8", metavar="NAME",
                             help="encoding of a CSV, as latin-1 or utf-16 (default: %(default)s)")  # fmt: skip
        command.add_argument("--time-format", metavar="FORMAT",
                             help="how the log writes times, as %%d/%%m/%%Y %%H:%%M (default: found)")  # fmt: skip
    inferring.add_argument("--label", action="append", default=[], metavar="COLUMN",
                           help="a column of 0 and 1 to predict; repeatable (default: found by name)")  # fmt: skip
    inferring.add_argument("--group", metavar="COLUMN", help="what grouped AUC groups by (default: found by name)")
    inferring.add_argument("--request", metavar="COLUMN",
                           help="in which list, shown at once, a row was (default: found where evident)")  # fmt: skip
    inferring.add_argument("--output", default="schema.json", metavar="FILE",
                           help="must not exist (default: %(default)s)")  # fmt: skip
    splitting.add_argument("--schema", required=True, metavar="FILE", help="what infer wrote")
    splitting.add_argument("--output", required=True, metavar="DIR", help="must not exist")
    splitting.add_argument("--fractions", default=",".join(map(str, FRACTIONS)), metavar="A,B,C",
                           help="shares of train, validation, test (default: %(default)s)")  # fmt: skip
    splitting.add_argument("--at", metavar="TIME,TIME", help="where validation and where test begin, instead of shares")
    splitting.add_argument("--last", type=int, metavar="K",
                           help="of each group the last K moments are test, the K before validation")  # fmt: skip
    splitting.add_argument("--random", action="store_true", help="split at random rather than by time")
    splitting.add_argument("--history", action="append", default=[], metavar="NAME=COLUMN,...:LENGTH",
                           help="build a sequence from each group's strictly earlier rows, as "
                           "viewed=item_id,category:50; repeatable")  # fmt: skip
    splitting.add_argument("--history-where", action="append", default=[], metavar="[NAME=]LABEL",
                           help="only rows where this label was 1 are events")  # fmt: skip
    splitting.add_argument("--history-by", action="append", default=[], metavar="[NAME=]COLUMN",
                           help="whose earlier rows are the events (default: the schema's group)")  # fmt: skip
    splitting.add_argument("--by-request", action="store_true",
                           help="write a record for each request of the schema, not each row")  # fmt: skip
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    given = _parser().parse_args(arguments)

    def run() -> None:
        if given.command == "infer":
            infer(given.log, given.output, given.label, given.group, given.time, given.delimiter,
                  request=given.request, encoding=given.encoding, time_format=given.time_format)  # fmt: skip
            return
        split(
            given.log,
            given.schema,
            given.output,
            time=given.time,
            fractions=_fractions(given.fractions),
            random=given.random,
            at=None if given.at is None else given.at.split(","),
            last=given.last,
            histories=_histories(given.history, given.history_where, given.history_by),
            delimiter=given.delimiter,
            encoding=given.encoding,
            time_format=given.time_format,
            by_request=given.by_request,
        )

    return run_command(run, tensorflow=False)


if __name__ == "__main__":
    sys.exit(main())
