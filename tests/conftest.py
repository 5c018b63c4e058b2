"""Fixtures that every test may use."""

import os
from pathlib import Path

# Two test processes share two cores: neither may take all threads, and no accelerator is looked for.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import pytest

# What these test knows nothing of Keras, or asks a process or a file that is the same under both: once is enough.
ONCE = (
    "tests/pipelines/datasets/",
    "tests/pipelines/test_compare",
    "tests/pipelines/test_plots",
    "tests/serving/test_agreement",
    "tests/serving/test_client",
    "tests/serving/test_encoder",
    "tests/serving/test_page",
    "tests/serving/test_server",
    "tests/serving/test_start_files",
    "tests/test_docs.py::test_code_blocks_run[client.md]",
    "tests/test_docs.py::test_code_blocks_run[compare.md]",
    "tests/test_docs.py::test_code_blocks_run[own_log.md]",
    "tests/test_docs.py::test_code_blocks_run[server.md]",
    "tests/test_docs.py::test_code_blocks_run[tensorflow_serving.md]",
    "tests/test_results",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("TF_USE_LEGACY_KERAS") in ("true", "True", "1"):
        skip = pytest.mark.skip(reason="the same under Keras 3, where it runs")
        for item in items:
            if item.nodeid.startswith(ONCE):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with the real data sets; tests that need it skip without it."""
    folder = os.environ.get("TF_INTERFORMER_DATA")
    if not folder:
        pytest.skip("needs real data: set TF_INTERFORMER_DATA to a folder that holds KuaiRand-Pure, bad_inputs, ...")
    return Path(folder)
