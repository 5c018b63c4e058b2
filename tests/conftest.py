"""Fixtures that every test may use."""

import os
from pathlib import Path

# Two test processes share two cores: neither may take all threads, and no accelerator is looked for.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with the real data sets; tests that need it skip without it."""
    folder = os.environ.get("TF_INTERFORMER_DATA")
    if not folder:
        pytest.skip("needs real data: set TF_INTERFORMER_DATA to a folder that holds KuaiRand-Pure, bad_inputs, ...")
    return Path(folder)
