"""What tests that train by a command share."""

import pytest

from pipelines import report, train


def export_and_draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """For what looks at neither the exported model nor the pictures, which are a third of what a small run costs."""
    patch.setattr(train, "export_saved_model", lambda *_: None)
    patch.setattr(report, "draw", lambda *_: None)


@pytest.fixture
def nothing_exported_or_drawn(monkeypatch):
    """As `export_and_draw_nothing`, for one test."""
    export_and_draw_nothing(monkeypatch)
