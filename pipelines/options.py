"""Options that several programs have: the same name for the same thing."""

import argparse


def add_config(parser: argparse.ArgumentParser, kind: str = "training run", several: bool = False) -> None:
    """`--config`, by file or by the name of one of the package's."""
    parser.add_argument("--config", required=True, metavar="FILE", nargs="+" if several else None,
                        help=f"YAML of a {kind}, or the name of one in pipelines/configs, as synthetic")  # fmt: skip


def add_settings(parser: argparse.ArgumentParser) -> None:
    """`--set`, any number of times."""
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
                        help="override a key of the configuration, as in training.epochs=3; another model.backbone "
                        "comes without the file's model.backbone_config")  # fmt: skip


def add_output(parser: argparse.ArgumentParser, what: str) -> None:
    """`--output`, a folder."""
    parser.add_argument("--output", required=True, metavar="DIR", help=what)


def add_data(parser: argparse.ArgumentParser) -> None:
    """`--data-dir` and `--prepared-dir`: where the data of a configuration, or of a run, lies."""
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the data set's files, where it needs them")
    parser.add_argument("--prepared-dir", metavar="DIR", help="where built data sets are kept "
                        "(default: TFDS_DATA_DIR or ~/tensorflow_datasets)")  # fmt: skip


def add_repetitions(parser: argparse.ArgumentParser, seeds: int, jobs: int | None) -> None:
    """`--seeds` and `--jobs`, with their defaults; no number of jobs is half the processors."""
    parser.add_argument("--seeds", type=int, default=seeds, metavar="N", help=f"runs of each (default: {seeds})")
    told = "half the processors" if jobs is None else jobs
    parser.add_argument("--jobs", type=int, default=jobs, metavar="N", help=f"runs side by side (default: {told})")
