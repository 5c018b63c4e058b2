"""TensorFlow Datasets builders, by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pipelines.config import ConfigError
from pipelines.lock import alone
from tf_interformer._suggestions import did_you_mean
from tf_interformer.schema import FeatureSchema

# Each module holds `Builder`, `schema(labels)` and `PROBABILITY_COLUMNS`. Where configurations of a builder differ in
# their schema, they say by which further arguments of `schema`, as `schema_options`.
_MODULES = {
    "amazon_electronics": "pipelines.datasets.amazon_electronics",
    "globo": "pipelines.datasets.globo",
    "kuairand_pure": "pipelines.datasets.kuairand_pure",
    "kuaivideo": "pipelines.datasets.kuaivideo",
    "synthetic_clicks": "pipelines.datasets.synthetic_clicks",
    "taobao_ad": "pipelines.datasets.taobao_ad",
    "trivago": "pipelines.datasets.trivago",
}


@dataclass(frozen=True)
class Built:
    """A data set on disk.

    Attributes:
        schema: Its schema with every label, not yet learned.
        default_labels: The tasks of a run that names none.
        files: Split name -> TFRecord files.
        probability_columns: Task -> column with the true probability, where it is known.
    """

    schema: FeatureSchema
    default_labels: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]
    probability_columns: Mapping[str, str]


def names() -> list[str]:
    """The builders that `build` knows."""
    return sorted(_MODULES)


def build(
    name: str,
    builder_config: str | None = None,
    manual_dir: str | Path | None = None,
    prepared_dir: str | Path | None = None,
) -> Built:
    """Build a data set, unless it is already on disk.

    Args:
        name: One of `names()`.
        builder_config: Named configuration of the builder; its default when `None`.
        manual_dir: Folder with the published files, for builders that read them.
        prepared_dir: Where TensorFlow Datasets keeps its files; its own default when `None`.

    Raises:
        ConfigError: No such builder or configuration.
        DataError: A published file is missing or broken.
    """
    if name not in _MODULES:
        raise ConfigError(f"dataset.name must be one of {names()} for the format 'tfds'. Received: {name!r}."
                          f"{did_you_mean(name, names())}")  # fmt: skip
    import tensorflow_datasets as tfds

    module: Any = import_module(_MODULES[name])
    configs = sorted(module.Builder.builder_configs)
    if builder_config is not None and builder_config not in configs:
        raise ConfigError(f"dataset.builder_config of {name!r} must be one of {configs}. Received: {builder_config!r}."
                          f"{did_you_mean(builder_config, configs)}")  # fmt: skip

    def opened() -> Any:
        return module.Builder(config=builder_config, data_dir=prepared_dir, file_format="tfrecord")

    builder = opened()
    if not builder.data_path.exists():
        # Of several runs that start together, one builds; the others wait, and then open what it has built.
        with alone(Path(builder.data_path).with_name(f".{builder.data_path.name}.lock")):
            builder = opened()
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    files = {split: tuple(str(path) for path in info.filepaths) for split, info in builder.info.splits.items()}
    schema = module.schema(labels=None, **getattr(builder.builder_config, "schema_options", {}))
    return Built(schema, module.schema().tasks, files, module.PROBABILITY_COLUMNS)
