"""What tests that train by a command share."""

from contextlib import redirect_stderr, redirect_stdout
from types import SimpleNamespace

import pytest

from pipelines import jobs, report
from pipelines.compare import job as training_job
from tf_interformer import export


def export_and_draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """For what looks at neither the exported model nor the pictures, which are a third of what a small run costs."""
    patch.setattr(export, "export_saved_model", lambda *_: None)  # which `train` imports when it exports
    patch.setattr(report, "draw", lambda *_: None)


def run_jobs_here(patch: pytest.MonkeyPatch) -> None:
    """Runs of an ablation or a comparison in this process; `test_compare.py` has some in processes of their own.

    Most of what a small one takes there is the import of TensorFlow.
    """

    def start(job: jobs.Job, threads: int) -> SimpleNamespace:
        assert job.arguments[:2] == ("-m", training_job.__name__)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("a") as stream, redirect_stdout(stream), redirect_stderr(stream):
            status = training_job.main(job.arguments[2:])
        return SimpleNamespace(poll=lambda: status, returncode=status)

    patch.setattr(jobs, "_start", start)


@pytest.fixture
def nothing_exported_or_drawn(monkeypatch):
    """As `export_and_draw_nothing`, for one test."""
    export_and_draw_nothing(monkeypatch)


@pytest.fixture
def jobs_run_here(monkeypatch):
    """As `run_jobs_here`, for one test."""
    run_jobs_here(monkeypatch)
