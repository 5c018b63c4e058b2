"""The configuration of a training run: YAML, checked by pydantic, with `key=value` overrides."""

import os
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from pipelines import configs
from tf_interformer._suggestions import did_you_mean
from tf_interformer.errors import UserError
from tf_interformer.schema._model import explain

# What leaves a value to the log.
AUTO: Literal["auto"] = "auto"
# Of every data set, in the order of time.
SPLITS = ("train", "validation", "test")

_MOST_YAML_NODES, _DEEPEST_YAML = 100_000, 50


class _YamlLoader(yaml.SafeLoader):
    """YAML in which `1e-5` is a number, as in JSON and in YAML 1.2; to PyYAML's own it is text.

    A few lines of aliases can stand for any number of values: they are counted as if each were written out.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = self._depth = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        alias = self.check_event(yaml.AliasEvent)
        before, self._depth = self._nodes, self._depth + 1
        if self._depth > _DEEPEST_YAML:
            raise yaml.YAMLError(f"it is nested more than {_DEEPEST_YAML} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if alias and id(node) not in self._sizes:
            raise yaml.YAMLError("an alias stands within what it names")
        self._nodes += self._sizes[id(node)] if alias else 1
        if self._nodes > _MOST_YAML_NODES:
            raise yaml.YAMLError(f"it holds more than {_MOST_YAML_NODES} values, aliases written out")
        self._sizes.setdefault(id(node), self._nodes - before)
        return node


_YamlLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(text: str) -> Any:
    """What a YAML text holds; what is no YAML, such as a 31st of February, is a `yaml.YAMLError`."""
    try:
        return yaml.load(text, Loader=_YamlLoader)
    except (ValueError, OverflowError) as error:  # of a date, a time or a number that looks like one and is none
        raise yaml.YAMLError(f"it holds what looks like a date, a time or a number and is none: {error}") from None


class ConfigError(UserError):
    """A configuration is wrong; the message names the file, the key and the value."""


class Section(BaseModel):
    """Base of every part of a configuration: frozen, and a key that it does not have is told with the one like it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        unknown = [key for key in values if key not in cls.model_fields] if isinstance(values, dict) else []
        if unknown:
            meant = did_you_mean(unknown[0], cls.model_fields) or f" There are {', '.join(cls.model_fields)}."
            raise ValueError(f"there is no key {unknown[0]!r}.{meant}")
        return values


def _size_or_auto(value: int | str) -> int | str:
    if (isinstance(value, int) and value < 1) or (isinstance(value, str) and value != AUTO):
        raise ValueError(f"it must be {AUTO} or an integer of at least 1. Received: {value!r}")
    return value


class DatasetConfig(Section):
    """Where the examples come from.

    Args:
        name: Name of a builder in `pipelines.datasets`, or, for files of one's own, any name.
        format: `tfds` (a builder), or `tfrecord` or `parquet` (a folder with `schema.json` and the split's
            files, `train*`, `validation*`, `test*`).
        builder_config: Named configuration of the builder.
        labels: The tasks; the schema's default when empty.
        max_length: Use only so many of the most recent events of each sequence; all that the schema has when absent.
        without: Features, sequences, columns of events that are not read: what `FeatureSchema.without` takes.
        shuffle_events: A control for whether the order of the events matters: those that are used of each history come
            in an order drawn by chance, in all splits, see `pipelines.input.shuffle_events`.
        by_request: Train and evaluate on batches of requests, in which the user of a request, with context and
            histories, is read and computed once, see `tf_interformer.by_request`; what is of one request is shuffled
            together. The schema needs `request` and `candidate`. Absent: where the records of the files are requests.
    """

    name: str
    format: Literal["tfds", "tfrecord", "parquet"] = "tfds"
    builder_config: str | None = None
    labels: tuple[str, ...] = ()
    max_length: int | None = Field(default=None, ge=1)
    without: tuple[str, ...] = ()
    shuffle_events: bool = False
    by_request: bool | None = None


class ModelConfig(Section):
    """Arguments of `tf_interformer.Ranker`.

    `embedding.unknown` and `list_loss` may be `auto`, see `pipelines.sizing`.
    """

    backbone: str = "interformer"
    backbone_config: dict[str, Any] = {}
    embedding: dict[str, Any] = {}
    tower_units: tuple[int, ...] = (128, 64)
    tower_activation: str = "swish"
    tower_dropout: float = Field(default=0.0, ge=0, lt=1)
    tower_numbers: bool = False
    linear_terms: float = Field(default=0.0, ge=0)
    task_weighting: Literal["fixed", "uncertainty"] = "fixed"
    list_loss: Annotated[float, Field(ge=0)] | Literal["auto"] = 0.0


class TrainingConfig(Section):
    """How the model is trained.

    Args:
        batch_size: Examples per step; `auto` goes by the number of rows, see `pipelines.sizing`.
        epochs: Passes over the training split at most.
        patience: Stop after so many epochs without a better `monitor`.
        monitor: Metric of the whole validation split, `TASK/METRIC`, or `METRIC` of the first task: `auc`,
            `gauc`, `log_loss`, `ne`, `ece`, or, where the schema has a `request` column, `request_gauc`, `mrr`,
            `ndcg_10`.
        optimizer: `lazy_adam`, `lazy_adamw`, `row_wise_adagrad` (an accumulator per row), `sparse_adagrad` (one per
            number) or `sparse_ftrl`, of which a step touches only the rows of its batch, or the name of a Keras
            optimizer, of which it passes over whole tables.
        learning_rate: Its peak learning rate.
        table_optimizer: Name of the optimizer of the embedding tables; absent: as the network's.
        table_learning_rate: Peak learning rate of the embedding tables; absent: as the network's. A smaller one lets
            the network pass over the data several times before rare ids are learned by heart.
        warmup_steps: Steps over which the rate rises linearly from 0.
        decay: `cosine` lets the rates fall to 0 over all epochs; `plateau` divides them by 10 after each epoch that did
            not improve `monitor`, and takes no warm-up.
        weight_decay: Decoupled weight decay, for optimizers that take it.
        bias_correction: Of `lazy_adam` and `lazy_adamw`: by all steps, `steps`, or by those that read a row, `rows`.
        clip_norm: Clip the global norm of the gradient; 0 for none.
        ema: Momentum, such as 0.999, of an exponential moving average of the weights over the steps: what is
            validated, saved and exported then. 0 for none. Every step costs a pass over all weights.
        seed: Of initialisation, shuffling and dropout.
        deterministic: Read the data in an order that depends on the seed alone.
        shuffle_buffer: Examples held in memory to shuffle.
        lists: By which key of the schema `model.list_loss` goes, `group` or `request`; what is of one list or user is
            then shuffled together.
        jit_compile: Compile the network behind the embedding tables by XLA; `auto` where that is known to be faster.
        steps_per_execution: Steps that one call of TensorFlow takes. More of them save time where steps are short; the
            state of the run is saved between calls only.
        mixed_precision: `float32`, `mixed_bfloat16` or `mixed_float16`.
        checkpoint_minutes: Save the state of the run, to resume from, at least so often.
    """

    batch_size: Annotated[StrictInt | StrictStr, AfterValidator(_size_or_auto)] = 1024
    epochs: int = Field(default=10, ge=1)
    patience: int = Field(default=2, ge=1)
    monitor: str = "auc"
    optimizer: str = "lazy_adam"
    learning_rate: float = Field(default=1e-3, gt=0)
    table_optimizer: str | None = None
    table_learning_rate: float | None = Field(default=None, gt=0)
    warmup_steps: int = Field(default=0, ge=0)
    decay: Literal["none", "cosine", "plateau"] = "none"
    weight_decay: float = Field(default=0.0, ge=0)
    bias_correction: Literal["steps", "rows"] = "steps"
    clip_norm: float = Field(default=0.0, ge=0)
    ema: float = Field(default=0.0, ge=0, lt=1)
    seed: int = 0
    deterministic: bool = True
    shuffle_buffer: int = Field(default=200_000, ge=1)
    lists: Literal["group", "request"] = "group"
    jit_compile: bool | Literal["auto"] = "auto"
    steps_per_execution: int = Field(default=1, ge=1)
    mixed_precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    checkpoint_minutes: float = Field(default=5.0, ge=0)

    @property
    def rows_at_once(self) -> int:
        """`batch_size`, and while that is left to the log what fits in memory."""
        return self.batch_size if isinstance(self.batch_size, int) else 1024

    @model_validator(mode="after")
    def _plateau_without_warmup(self) -> "TrainingConfig":
        if self.decay == "plateau" and self.warmup_steps:
            raise ValueError(f"decay: plateau takes no warm-up. Received: warmup_steps: {self.warmup_steps}")
        return self


class TrainConfig(Section):
    """A training run: data, model, training."""

    dataset: DatasetConfig
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()

    def to_yaml(self) -> str:
        """The configuration, every default spelled out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_config(path: str | os.PathLike, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a YAML configuration.

    Args:
        path: The file, or the name of one in `pipelines/configs`.
        overrides: `section.key=value` strings; the value is read as YAML. With another `model.backbone` than the
            file's, the file's `model.backbone_config` does not count: it holds arguments of the file's.

    Raises:
        ConfigError: No such file, no YAML, an unknown key, or a value that does not fit.
    """
    try:
        text = configs.find(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {os.fspath(path)}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the configuration {os.fspath(path)} is not UTF-8 text") from None
    try:
        values = read_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{os.fspath(path)} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{os.fspath(path)} must hold a mapping with the keys dataset, model, training")
    _leave_to_another_backbone(values, overrides)
    for override in overrides:
        _apply(values, override)
    try:
        return TrainConfig(**values)
    except ValidationError as error:
        raise ConfigError(explain(error, os.fspath(path))) from None


def _leave_to_another_backbone(values: dict[str, Any], overrides: Sequence[str]) -> None:
    model = values.get("model")
    given = [text for key, _, text in (override.partition("=") for override in overrides) if key == "model.backbone"]
    if given and isinstance(model, dict):
        own = model.get("backbone", ModelConfig.model_fields["backbone"].default)
        if given[-1].strip(" '\"") != own:
            model.pop("backbone_config", None)


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set takes key=value, as in training.epochs=3. Received: {override!r}")
    try:
        value = read_yaml(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {key}: the value is not YAML. Received: {text!r}") from None
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {key}: {section!r} is a value, not a section")
    values[last] = value
