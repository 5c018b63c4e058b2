"""What a comparison file says: the base configuration, the models, the search."""

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from pipelines import configs
from pipelines.config import ConfigError, DatasetConfig, Section, TrainConfig, load_config, read_yaml
from tf_interformer._suggestions import did_you_mean
from tf_interformer.schema._model import explain

# What is no backbone of the package: `linear` is one of this comparison, `lightgbm` no network at all.
LINEAR, LIGHTGBM, BEST_POSSIBLE = "linear", "lightgbm", "best_possible"

# What leaves the examples and their order as they are.
_OWN_DATA = ("dataset.builder_config", "dataset.without", "dataset.max_length", "dataset.shuffle_events")
_LINEAR_SETTINGS = {
    "model.backbone_config": {},
    "model.embedding.dim": 1,
    "model.embedding.dense_tokens": 1,
    "model.embedding.dense_units": [],
    "model.embedding.dropout": 0.0,
    "model.tower_units": [],
    "model.tower_dropout": 0.0,
}


class CompareConfig(Section):
    """A comparison file.

    Args:
        base: Configuration of `pipelines.train` with what all models share; the path is relative to this file.
        models_from: Another file of `{name: settings}`, to which `models` adds. Defaults to none.
        models: Name -> settings, keys of the configuration under `model.`. The names `linear`, `lightgbm` and those
            that begin with it, and `best_possible` have a meaning of their own. Each may have of its own what leaves
            the examples and their order as they are: `dataset.builder_config`, for other features such as the numbers
            that trees need, `dataset.without`, `dataset.max_length` and `dataset.shuffle_events`.
        settings: Settings of all models, on top of `base`. Keys under `model.backbone_config.` reach every backbone of
            the package, and not `linear` and `lightgbm`.
        search: Key -> values. Every model is tried with every combination at seed 0; the best by the validation
            split goes on. A model that sets such a key itself keeps its value. Defaults to none.
        search_lightgbm: The same for LightGBM, which has parameters of its own. Defaults to none.
    """

    base: str
    models_from: str | None = None
    models: dict[str, dict[str, Any] | None] = {}
    settings: dict[str, Any] = {}
    search: dict[str, list[Any]] = {}
    search_lightgbm: dict[str, list[Any]] = {}


class Model(NamedTuple):
    """One row of the leaderboard: its name and the overrides that make it."""

    name: str
    settings: tuple[str, ...]

    @property
    def is_boosted(self) -> bool:
        """Whether it is LightGBM."""
        return self.name.startswith(LIGHTGBM)


@dataclass(frozen=True)
class Plan:
    """A comparison that is ready to run.

    Attributes:
        base: The configuration file that all models share.
        dataset: Their data, but for what models have of their own.
        models: The models to train.
        candidates: Settings that each model is tried with; one empty set without a search.
        tree_candidates: The same for LightGBM.
        best_possible: Whether the metrics of the true probabilities are asked for.
        search: The search as it was given, for the report.
        search_lightgbm: That for LightGBM.
    """

    base: str
    dataset: DatasetConfig
    models: tuple[Model, ...]
    candidates: tuple[tuple[str, ...], ...]
    tree_candidates: tuple[tuple[str, ...], ...]
    best_possible: bool
    search: dict[str, list[Any]]
    search_lightgbm: dict[str, list[Any]]

    def config(self, model: Model, candidate: int, seed: int) -> TrainConfig:
        """The configuration of one run."""
        return load_config(self.base, self.settings(model, candidate, seed))

    def settings(self, model: Model, candidate: int, seed: int) -> list[str]:
        """The overrides of one run."""
        return [*model.settings, *self.candidates_of(model)[candidate], f"training.seed={seed}"]

    def candidates_of(self, model: Model) -> tuple[tuple[str, ...], ...]:
        """The settings that this model is tried with."""
        if model.is_boosted:
            return self.tree_candidates
        own = {_key_of(setting) for setting in model.settings}
        left = (tuple(s for s in candidate if _key_of(s) not in own) for candidate in self.candidates)
        return tuple(dict.fromkeys(left))


def read_plan(path: str | os.PathLike[str], names: Sequence[str] = ()) -> Plan:
    """Read a comparison file.

    Args:
        path: The file, or the name of one in `pipelines/configs/compare`.
        names: The models to take; all when empty.

    Raises:
        ConfigError: A file cannot be read, or does not say what it should.
    """
    try:
        file = configs.find(path, "compare")
    except FileNotFoundError as error:
        raise ConfigError(f"cannot read the comparison {os.fspath(path)}: {error.strerror}") from None
    try:
        given = CompareConfig(**_mapping(file))
    except ValidationError as error:
        raise ConfigError(explain(error, str(file))) from None
    entries = _mapping(file.parent / given.models_from) if given.models_from else {}
    for name, settings in given.models.items():
        entries[name] = {**(entries.get(name) or {}), **(settings or {})}
    unknown = sorted(set(names) - set(entries))
    if unknown or not entries:
        meant = did_you_mean(unknown[0], entries) if unknown else ""
        raise ConfigError(f"{file} has the models {', '.join(entries) or 'none'}. Received: --models {unknown}.{meant}")
    chosen = {name: entries[name] or {} for name in (names or entries)}
    both = sorted(set(given.settings) & set(given.search))
    if both:
        raise ConfigError(f"{file}: a key is under `settings` or under `search`. Received under both: {both}")
    shared = _overrides(given.settings)
    models = tuple(
        Model(name, (*shared, *_settings_of(file, name, settings, given.settings)))
        for name, settings in chosen.items()
        if name != BEST_POSSIBLE
    )
    if not models:
        raise ConfigError(f"{file} must name a model to train beside {BEST_POSSIBLE}")
    base = os.fspath(file.parent / given.base)
    plan = Plan(
        base,
        load_config(base, shared).dataset,
        models,
        _candidates(file, given.search),
        _candidates(file, {f"model.backbone_config.{key}": values for key, values in given.search_lightgbm.items()}),
        BEST_POSSIBLE in chosen,
        given.search,
        given.search_lightgbm,
    )
    for model in models:  # a wrong value is found before the first hour of training, not after it
        for candidate in range(len(plan.candidates_of(model))):
            plan.config(model, candidate, 0)
    return plan


def _mapping(file: Path) -> dict[str, Any]:
    try:
        found = read_yaml(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the comparison {file}: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise ConfigError(f"{file} must hold a mapping. Received: {str(found)[:80]!r}")
    return found


def _settings_of(file: Path, name: str, settings: Any, shared: dict[str, Any]) -> list[str]:
    if "/" in name or name.startswith("."):
        raise ConfigError(f"{file}: the name of a model becomes a folder's. Received: {name!r}")
    if not isinstance(settings, dict):
        raise ConfigError(f"{file}, models.{name} must hold settings, as in model.backbone: fm. Received: {settings!r}")
    if name.startswith(LIGHTGBM):
        data = {key: value for key, value in settings.items() if key in _OWN_DATA}
        trees = {key: value for key, value in settings.items() if key not in _OWN_DATA}
        return _overrides({**data, "model.backbone": LIGHTGBM, "model.backbone_config": trees})
    if name == LINEAR:
        return _overrides({"model.backbone": LINEAR, **_LINEAR_SETTINGS, **settings})
    for key in settings:
        if key not in _OWN_DATA and (not key.startswith("model.") or key.startswith("model.embedding")):
            raise ConfigError(
                f"{file}, models.{name}: {key!r} is the same for all models: put it under `settings`, or under "
                "`search` to try several values for each"
            )
    # Another backbone has nothing of the base's arguments, but what is set for all.
    fresh: dict[str, Any] = {"model.backbone_config": {}} if "model.backbone" in settings else {}
    own = {*settings, *(f"model.backbone_config.{key}" for key in settings.get("model.backbone_config") or ())}
    of_all = {key: value for key, value in shared.items() if key.startswith("model.backbone_config.")}
    return _overrides({**fresh, **settings, **{key: value for key, value in of_all.items() if key not in own}})


def _candidates(file: Path, search: dict[str, list[Any]]) -> tuple[tuple[str, ...], ...]:
    for key, values in search.items():
        if not key.startswith(("model.", "training.")) or key == "training.seed" or not values:
            raise ConfigError(f"{file}, search: keys are of `model` or `training`, with a value or more. "
                              f"Received: {key}: {values}")  # fmt: skip
    combinations = itertools.product(*search.values())
    return tuple(tuple(_overrides(dict(zip(search, values, strict=True)))) for values in combinations)


def _key_of(override: str) -> str:
    return override.partition("=")[0]


def _overrides(settings: dict[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]
