"""The model and the optimiser of a configuration."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.config import AUTO, ConfigError, ModelConfig, TrainConfig, TrainingConfig
from tf_interformer import backbones, optimizers
from tf_interformer._keras import keras
from tf_interformer._suggestions import did_you_mean
from tf_interformer.embedding import TokenEmbedder
from tf_interformer.ranker import Ranker
from tf_interformer.schema import FeatureSchema


def check_model(model: ModelConfig) -> None:
    """Say at once, before the data is read, what the backbone and the embedding do not take."""
    if model.backbone not in backbones.names():
        raise ConfigError(
            f"model.backbone must be one of {', '.join(backbones.names())}. Received: {model.backbone!r}."
            f"{did_you_mean(model.backbone, backbones.names())}"
        )
    taken = backbones.arguments(model.backbone)
    _check_keys("backbone_config", f"the backbone {model.backbone!r}", model.backbone_config, taken)
    taken = list(inspect.signature(TokenEmbedder).parameters)
    _check_keys(
        "embedding", "the embedding", model.embedding, [name for name in taken if name not in ("schema", "kwargs")]
    )


def build_ranker(config: TrainConfig, schema: FeatureSchema, examples: int) -> Ranker:
    """The compiled model of a configuration.

    Raises:
        ConfigError: The backbone or the optimiser does not take an argument that the configuration gives it.
    """
    model, training = config.model, config.training
    try:
        ranker = Ranker(
            schema,
            backbone=model.backbone,
            backbone_config=model.backbone_config,
            embedding=model.embedding,
            tower_units=model.tower_units,
            tower_activation=model.tower_activation,
            tower_dropout=model.tower_dropout,
            tower_numbers=model.tower_numbers,
            linear_terms=model.linear_terms,
            task_weighting=model.task_weighting,
            list_loss=0.0 if model.list_loss == AUTO else model.list_loss,
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model: {error}") from error
    try:
        optimizer = build_optimizer(training, steps_per_epoch(examples, training.rows_at_once))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"training.optimizer {training.optimizer!r}: {error}") from error
    ranker.compile(
        optimizer=optimizer, jit_compile=training.jit_compile, steps_per_execution=training.steps_per_execution
    )
    return ranker


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Whole batches of an epoch; at least one."""
    return max(1, examples // batch_size)


def build_optimizer(training: TrainingConfig, steps: int) -> Any:
    """The optimiser of a configuration, with its learning-rate schedules."""
    shared: dict[str, Any] = {}
    if training.clip_norm:
        shared["global_clipnorm"] = training.clip_norm
    if training.ema:
        shared |= {"use_ema": True, "ema_momentum": training.ema}
    config: dict[str, Any] = {"learning_rate": _schedule(training, training.learning_rate, steps)}
    if training.weight_decay:
        config["weight_decay"] = training.weight_decay
    if training.bias_correction != "steps":
        config["bias_correction"] = training.bias_correction
    if training.table_optimizer is None and training.table_learning_rate is None:
        return optimizers.get(training.optimizer, **config, **shared)
    rate = _schedule(training, training.table_learning_rate or training.learning_rate, steps)
    return optimizers.TableOptimizer(
        tables=optimizers.get(training.table_optimizer or training.optimizer, **config | {"learning_rate": rate}),
        network=optimizers.get(training.optimizer, **config),
        **shared,
    )


def _check_keys(section: str, owner: str, given: Mapping[str, Any], taken: Sequence[str]) -> None:
    unknown = sorted(set(given) - {*taken, "name", "dtype"})
    if unknown:
        raise ConfigError(
            f"model.{section}: {owner} has no {', '.join(unknown)}.{did_you_mean(unknown[0], taken)} "
            f"It takes {', '.join(taken)}"
        )


def _schedule(training: TrainingConfig, peak: float, steps: int) -> Any:
    if not training.warmup_steps and training.decay != "cosine":
        return peak
    warm = training.warmup_steps > 0
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warm else peak,
        decay_steps=max(1, steps * training.epochs - training.warmup_steps),
        alpha=0.0 if training.decay == "cosine" else 1.0,  # alpha 1: it stays where the warm-up led
        warmup_target=peak if warm else None,
        warmup_steps=training.warmup_steps,
    )
