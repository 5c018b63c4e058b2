"""Fixtures that every test may use."""

import os
from pathlib import Path

# No accelerator is looked for.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import pytest

# What these test knows little of Keras, or asks a file that is the same under both: Keras 3 is enough.
ONCE = (
    "tests/heavy/test_mirrored_optimizers.py::test_two_replicas_equal_one[others]",
    "tests/pipelines/datasets/",
    "tests/pipelines/test_compare",
    "tests/pipelines/test_compress",
    "tests/pipelines/test_plots",
    "tests/pipelines/test_schema_split.py::test_trains",
    "tests/pipelines/test_train.py::test_ablation_compares_and_goes_on",
    "tests/pipelines/test_train.py::test_the_same_seed_gives_the_same_run",
    "tests/serving/test_agreement",
    "tests/serving/test_client",
    "tests/serving/test_encoder",
    "tests/serving/test_page",
    "tests/serving/test_server",
    "tests/serving/test_start_files",
    "tests/test_docs.py::test_code_blocks_run[client.md]",
    "tests/test_docs.py::test_code_blocks_run[compare.md]",
    "tests/test_docs.py::test_code_blocks_run[keras.md]",
    "tests/test_docs.py::test_code_blocks_run[models.md]",
    "tests/test_docs.py::test_code_blocks_run[own_log.md]",
    "tests/test_docs.py::test_code_blocks_run[server.md]",
    "tests/test_docs.py::test_code_blocks_run[tensorflow_serving.md]",
    "tests/test_planted",
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
