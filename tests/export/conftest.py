"""A model of two tasks that several modules ask for, exported once."""

import pytest

from tests.export.exported import small_ranker
from tf_interformer.export import export_saved_model


@pytest.fixture(scope="session")
def ranker():
    return small_ranker()


@pytest.fixture(scope="session")
def exported(ranker, tmp_path_factory):
    return export_saved_model(ranker, tmp_path_factory.mktemp("models") / "clicks")
