"""Runs commands as processes of their own, several at once, and what the tables of several runs share."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.config import ConfigError
from tf_interformer.command import Interrupted


class Job(NamedTuple):
    """A command to run once.

    Attributes:
        title: What the progress line says.
        arguments: Arguments of Python, as in `("-m", "pipelines.train", ...)`.
        done: File that is there when the job is done, and not before.
        log: File that takes what the command writes; a second attempt adds to it.
    """

    title: str
    arguments: tuple[str, ...]
    done: Path
    log: Path


def training_job(
    title: str,
    config: str,
    run: Path,
    settings: Sequence[str],
    data_dir: str | None,
    prepared_dir: str | None,
) -> Job:
    """One run of a configuration in a folder of its own, whose log lies beside the folder; nothing is exported.

    Args:
        title: What the progress line says.
        config: The YAML file.
        run: The folder.
        settings: `key=value` overrides.
        data_dir: As for `pipelines.train`.
        prepared_dir: As for `pipelines.train`.
    """
    arguments = ["-m", "pipelines.compare.job", "--config", config, "--output", str(run)]
    arguments += ["--data-dir", data_dir] if data_dir else []
    arguments += ["--prepared-dir", prepared_dir] if prepared_dir else []
    for setting in settings:
        arguments += ["--set", setting]
    return Job(title, tuple(arguments), run / "metrics.json", run.with_name(f"{run.name}.log"))


def check_counts(seeds: int, at_once: int) -> None:
    """Refuse a number of runs, or of jobs side by side, that is no number of any."""
    if seeds < 1 or at_once < 1:
        raise ConfigError(f"--seeds and --jobs must be 1 or more. Received: {seeds} and {at_once}")


def run_jobs(
    jobs: Sequence[Job],
    at_once: int = 1,
    say: Callable[[str], None] = lambda line: print(line, flush=True),
) -> None:
    """Run every job that is not done; each has a process of its own and an equal share of the processor's threads.

    Args:
        jobs: The jobs, in the order in which they are started.
        at_once: How many run side by side. Defaults to 1.
        say: Where progress goes, a line at a time. Defaults to `print`.

    Raises:
        ConfigError: Jobs failed; the message holds the end of their output. When nothing has succeeded before, the
            first failure stops the others; otherwise they are all tried.
        Interrupted: On SIGINT or SIGTERM, after the running jobs have saved their state.
    """
    threads = max(1, (os.cpu_count() or 1) // at_once)
    waiting = [(number, job) for number, job in enumerate(jobs, 1) if not job.done.is_file()]
    running: dict[Job, tuple[subprocess.Popen, float]] = {}
    took: list[float] = []
    failures: list[str] = []
    with _interrupted_by_signals():
        try:
            while waiting or running:
                while waiting and len(running) < at_once:
                    number, job = waiting.pop(0)
                    left = np.mean(took) * (len(waiting) + 1 + len(running)) / at_once / 60 if took else None
                    say(f"[{number}/{len(jobs)}] {job.title}" + (f", about {left:.0f} min left" if took else ""))
                    running[job] = (_start(job, threads), time.monotonic())
                for job, (process, started) in list(running.items()):
                    if process.poll() is not None:
                        del running[job]
                        failure = _failure(job, process.returncode)
                        if failure is None:
                            took.append(time.monotonic() - started)
                        elif took:
                            failures.append(failure)
                            say(f"failed: {job.title}")
                        else:
                            raise ConfigError(failure)
                time.sleep(0.1)
        finally:
            _stop([process for process, _ in running.values()])
    if failures:
        raise ConfigError("\n".join(failures))


def _start(job: Job, threads: int) -> subprocess.Popen:
    shares = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    share = dict.fromkeys(shares, str(threads))
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("a") as stream:
        # A session of its own: an interruption from the keyboard reaches it once, through `_stop`.
        return subprocess.Popen(
            [sys.executable, *job.arguments],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=os.environ | share,
            start_new_session=True,
        )


def _failure(job: Job, status: int) -> str | None:
    if status == 0 and job.done.is_file():
        return None
    tail = "\n".join(job.log.read_text(errors="replace").splitlines()[-5:])
    return (
        f"{job.title}: the run {job.done.parent} failed with status {status}; its output is in {job.log}, "
        f"its command is `python {shlex.join(job.arguments)}`:\n{tail}"
    )


def _stop(processes: Sequence[subprocess.Popen]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Within it, SIGINT and SIGTERM raise `Interrupted`."""

    def interrupt(number: int, _: object) -> None:
        raise Interrupted(f"stopped by signal {number}")

    stops = (signal.SIGINT, signal.SIGTERM)
    try:
        before = {stop: signal.signal(stop, interrupt) for stop in stops}
    except ValueError:  # not the main thread: there signals are somebody else's
        before = {}
    try:
        yield
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)


def mean_and_spread(values: Sequence[float], digits: int = 4) -> str:
    """`mean ± standard deviation` over runs, the mean alone for a single run."""
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as Markdown."""
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
