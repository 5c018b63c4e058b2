"""Fixtures that every test may use."""

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

# No accelerator is looked for.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# What XLA makes is small and runs a few times: it is not worth optimising.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")

import pytest

# What these tests ask knows little of Keras, or is the same file or arithmetic under both: Keras 3 is enough.
ONCE = (
    "tests/backbones/test_dual_enhanced_attention.py::test_fits_refreshes_and_comes_back_from_a_file[False]",
    "tests/backbones/test_hiformer.py::test_the_variance_neither_grows_nor_dies",
    "tests/backbones/test_interformer.py::test_contract[algorithm1_one_layer]",
    "tests/backbones/test_interformer.py::test_contract[average_without_attention]",
    "tests/backbones/test_interformer.py::test_contract[cls_alone]",
    "tests/backbones/test_interformer.py::test_contract[faithful_dot]",
    "tests/backbones/test_interformer.py::test_contract[mha]",
    "tests/backbones/test_interformer.py::test_contract[n2s_without_pffn]",
    "tests/backbones/test_interformer.py::test_contract[sep]",
    "tests/backbones/test_interformer.py::test_contract[target_alone]",
    "tests/backbones/test_interformer.py::test_contract[without_attention]",
    "tests/backbones/test_interformer.py::test_contract[without_cls]",
    "tests/backbones/test_interformer.py::test_contract[without_gates]",
    "tests/backbones/test_interformer.py::test_contract[without_pffn]",
    "tests/backbones/test_interformer.py::test_contract[without_pma]",
    "tests/backbones/test_interformer.py::test_contract[without_recent]",
    "tests/backbones/test_interformer.py::test_contract[without_targets]",
    "tests/backbones/test_published_sizes",
    "tests/backbones/test_ten_bugs.py::test_bug_1",
    "tests/backbones/test_ten_bugs.py::test_bug_4",
    "tests/backbones/test_ten_bugs.py::test_bug_5",
    "tests/backbones/test_ten_bugs.py::test_bug_9_the_variance_neither_grows_nor_dies",
    "tests/benchmarks/test_planted",
    "tests/benchmarks/test_published_ablations",
    "tests/benchmarks/test_trivago_rules",
    "tests/benchmarks/test_work",
    "tests/columns/test_columns",
    "tests/compression/test_low_rank.py::test_a_low_rank_model",
    "tests/compression/test_low_rank.py::test_all_heads",
    "tests/compression/test_low_rank.py::test_energy",
    "tests/compression/test_low_rank.py::test_multiplications",
    "tests/compression/test_low_rank.py::test_the_error_falls",
    "tests/compression/test_low_rank.py::test_the_report",
    "tests/compression/test_low_rank.py::test_what_",
    "tests/diagnostics/test_multiplications",
    "tests/heavy/test_mirrored_optimizers.py::test_two_replicas_equal_one[others]",
    "tests/layers/test_padding.py::test_padding_and_lengths_out_of_bounds",
    "tests/layers/test_pair_hash.py::test_arithmetic",
    "tests/layers/test_pair_hash.py::test_codebooks",
    "tests/layers/test_pair_hash.py::test_field_pairs",
    "tests/layers/test_pair_hash.py::test_never",
    "tests/layers/test_pair_hash.py::test_order",
    "tests/layers/test_pair_hash.py::test_sequential",
    "tests/pipelines/compare/test_compare",
    "tests/pipelines/datasets/",
    "tests/pipelines/own_log/",
    "tests/pipelines/test_arrow_columns",
    "tests/pipelines/test_best_column",
    "tests/pipelines/test_by_request.py::test_a_schema",
    "tests/pipelines/test_by_request.py::test_a_user",
    "tests/pipelines/test_by_request.py::test_files_of",
    "tests/pipelines/test_by_request.py::test_negatives",
    "tests/pipelines/test_by_request.py::test_requests_are",
    "tests/pipelines/test_by_request.py::test_rows_of",
    "tests/pipelines/test_by_request.py::test_sizes",
    "tests/pipelines/test_by_request.py::test_the_examples",
    "tests/pipelines/test_by_request.py::test_training_takes",
    "tests/pipelines/test_command_errors.py::test_a_configuration_that_cannot_be_read",
    "tests/pipelines/test_command_errors.py::test_an_output_that_cannot_be_one",
    "tests/pipelines/test_command_errors.py::test_one_class_is_told_of_trees_too",
    "tests/pipelines/test_command_errors.py::test_one_class_to_learn",
    "tests/pipelines/test_command_errors.py::test_what_is_wrong_with_the_data",
    "tests/pipelines/test_compress",
    "tests/pipelines/test_config",
    "tests/pipelines/test_input",
    "tests/pipelines/test_plots",
    "tests/pipelines/test_prepare",
    "tests/pipelines/test_request_records",
    "tests/pipelines/test_sizing",
    "tests/pipelines/test_train.py::test_a_truncated_file_is_one_message",
    "tests/pipelines/test_train.py::test_ablation_compares_and_goes_on",
    "tests/pipelines/test_train.py::test_every_variant_of_the_ablations_makes_a_model",
    "tests/pipelines/test_train.py::test_rates_fall_where_validation_no_longer_improves[tables0]",
    "tests/pipelines/test_train.py::test_the_epoch_kept",
    "tests/schema/test_distance.py::test_models_learn_from_it",
    "tests/schema/test_event_numbers.py::test_served_every_way",
    "tests/schema/test_feature_schema",
    "tests/schema/test_match.py::test_models_learn_from_it",
    "tests/serving/client/test_client",
    "tests/serving/page/test_page",
    "tests/serving/server/",
    "tests/serving/tensorflow_serving/test_start_files",
    "tests/serving/test_agreement",
    "tests/serving/test_encoder",
    "tests/serving/test_export",
    "tests/serving/test_graph_session",
    "tests/serving/test_onnx.py::test_a_",
    "tests/serving/test_onnx.py::test_command",
    "tests/serving/test_onnx.py::test_every_model_converts[interformer ",
    "tests/serving/test_onnx.py::test_half_precision_is_converted_in_float32[tables]",
    "tests/serving/test_onnx.py::test_pairs",
    "tests/serving/test_plain_path",
    "tests/serving/test_request",
    "tests/serving/test_serve",
    "tests/test_architecture",
    "tests/test_data_options.py::test_a_model_of_down_sampled",
    "tests/test_data_options.py::test_downsampling",
    "tests/test_data_options.py::test_parquet",
    "tests/test_data_options.py::test_pipelines_",
    "tests/test_docs.py::test_code_blocks_run[client.md]",
    "tests/test_docs.py::test_code_blocks_run[compare.md]",
    "tests/test_docs.py::test_code_blocks_run[datasets.md]",
    "tests/test_docs.py::test_code_blocks_run[keras.md]",
    "tests/test_docs.py::test_code_blocks_run[models.md]",
    "tests/test_docs.py::test_code_blocks_run[onnx.md]",
    "tests/test_docs.py::test_code_blocks_run[own_log.md]",
    "tests/test_docs.py::test_code_blocks_run[server.md]",
    "tests/test_docs.py::test_code_blocks_run[serving.md]",
    "tests/test_docs.py::test_code_blocks_run[speed.md]",
    "tests/test_docs.py::test_code_blocks_run[tensorflow_serving.md]",
    "tests/test_docs.py::test_code_blocks_run[training.md]",
    "tests/test_docs.py::test_code_blocks_run[zoo.md]",
    "tests/test_docs.py::test_links_and_paths_exist",
    "tests/test_docstrings.py::test_defaults",
    "tests/test_docstrings.py::test_examples[tf_interformer.schema",
    "tests/test_names.py::test_a_log_of_hard_names",
    "tests/test_preprocessing",
    "tests/test_quiet_start",
    "tests/test_ranker.py::test_linear_terms[False]",
    "tests/test_requests",
    "tests/test_results",
    "tests/test_traced_columns",
    "tests/test_whole",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("TF_USE_LEGACY_KERAS") in ("true", "True", "1"):
        skip = pytest.mark.skip(reason="the same under Keras 3, where it runs")
        for item in items:
            if item.nodeid.startswith(ONCE):
                item.add_marker(skip)


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not look at it over and over."""
    gc.collect()
    gc.freeze()


def _optimise_graphs(optimise: bool) -> None:
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not optimise})


@pytest.fixture(scope="session", autouse=True)
def _graphs_as_they_are() -> None:
    """TensorFlow does not optimise graphs that run a few times: that would be a quarter of what a short `fit` costs."""
    _optimise_graphs(False)


@pytest.fixture(scope="module")
def graphs_optimised() -> Iterator[None]:
    """As outside of tests: for models that take many steps, and for what users have."""
    _optimise_graphs(True)
    yield
    _optimise_graphs(False)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with the real data sets; tests that need it skip without it."""
    folder = os.environ.get("TF_INTERFORMER_DATA")
    if not folder:
        pytest.skip("needs real data: set TF_INTERFORMER_DATA to a folder that holds KuaiRand-Pure, bad_inputs, ...")
    return Path(folder)


@pytest.fixture(scope="session")
def two_cpus() -> Callable[..., Any]:
    """Calls a function of a test module in a process of its own, which has two logical processors.

    It is forked from one that has imported TensorFlow and computed nothing, since imports are most of its time.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.two_cpus"])

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        from tests.two_cpus import divide

        with ProcessPoolExecutor(1, context, initializer=divide) as process:
            return process.submit(function, *arguments).result()

    return call
