"""The training loop: epochs of `model.fit`, a validation metric over the whole split, resumable at any step."""

import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from pipelines.building import build_ranker, check_model, steps_per_epoch
from pipelines.config import AUTO, ConfigError, TrainConfig
from pipelines.input import Source, evaluation_dataset, training_dataset
from pipelines.learning import check_splits, learn
from pipelines.monitor import Monitor, require_key
from pipelines.random_state import use_generators
from pipelines.sizing import Differences, sized
from pipelines.training_run import RunState, TrainingRun
from pipelines.weight_average import WeightAverage
from tf_interformer import optimizers
from tf_interformer._keras import keras
from tf_interformer.command import Interrupted
from tf_interformer.evaluation import evaluate
from tf_interformer.ranker import Ranker
from tf_interformer.schema import FeatureSchema


class Trainer:
    """Trains a `Ranker` and keeps the best epoch by a validation metric.

    Each epoch is a `model.fit` over a stream whose order depends on the seed and the epoch alone, so an
    interrupted epoch goes on where it stopped: the batches already seen are skipped unread.

    Args:
        config: The run's configuration.
        source: The data.
        run: The run's folder.
        say: Where progress goes, a line at a time. Defaults to `print`.
    """

    def __init__(
        self, config: TrainConfig, source: Source, run: TrainingRun, say: Callable[[str], None] = print
    ) -> None:
        self.config = config
        self.source = source
        self.run = run
        self.say = say
        self.ranker: Ranker
        self.state: RunState

    def train(self) -> Ranker:
        """Train, or go on with training, and return the best model.

        Raises:
            ConfigError: The configuration does not fit the data.
            Interrupted: On SIGINT or SIGTERM, after the state has been saved.
        """
        training = self.config.training
        self._monitor = Monitor.of_schema(training.monitor, self.source.schema)
        if self._lists is not None and self.config.model.list_loss != AUTO:
            require_key("model.list_loss", self.config.model.list_loss, self._lists, self.source.schema)
        if isinstance(self.config.model.backbone, str):
            check_model(self.config.model)
        keras.mixed_precision.set_global_policy(training.mixed_precision)
        keras.utils.set_random_seed(training.seed)
        use_generators()
        resumed = self.run.load_state()
        if resumed is None:
            schema, state = self._learn()
            self._size(schema, state, self.say)
            self.ranker, self.state = build_ranker(self.config, schema, state.examples), state
        else:
            self.ranker, self.state = resumed
            self._size(self.ranker.schema, self.state, lambda line: None)
            if not self.state.finished:
                self.say(f"resuming at epoch {self.state.epoch + 1}, batch {self.state.step}")
        if resumed is None:
            check_splits(self.source, self._monitor, self.say)
        self._average = WeightAverage(self.ranker)
        rows = self.config.training.rows_at_once
        self._validation = evaluation_dataset(self.source, self.ranker.preprocessor, "validation", rows)
        with _asked_to_stop() as asked:
            while not self.state.finished:
                self._epoch(asked)
        return self.run.load_best()

    def _size(self, schema: FeatureSchema, state: RunState, say: Callable[[str], None]) -> None:
        self.config, lines = sized(self.config, schema, state.examples, state.difference)
        for line in lines:
            say(line)

    def _learn(self) -> tuple[FeatureSchema, RunState]:
        started = time.monotonic()
        self.say("learning vocabularies and statistics from the training split")
        keys, lists = self.source.schema.key_columns, self.config.training.lists
        differences = Differences()
        asked = self.config.model.list_loss == AUTO and lists in keys

        def watch(batch: dict[str, Any]) -> None:
            differences.update(batch[keys[lists][0]], batch[self.source.schema.tasks[0]])

        schema, examples = learn(self.source, watch if asked else None)
        schema.to_json(self.run.schema)
        self.say(f"{examples:,} training examples read in {time.monotonic() - started:.0f} s")
        return schema, RunState(examples=examples, difference=differences.share() if asked else 0.0)

    def _epoch(self, asked: list[int]) -> None:
        training, state = self.config.training, self.state
        started = time.monotonic()
        data = training_dataset(
            self.source,
            self.ranker.preprocessor,
            training.rows_at_once,
            examples=state.examples,
            seed=training.seed + 1000 * state.epoch,
            shuffle_buffer=training.shuffle_buffer,
            skip=state.step,
            deterministic=training.deterministic,
            lists=self._lists,
        )
        self._set_rates()
        left = steps_per_epoch(state.examples, training.rows_at_once) - state.step
        logs: dict[str, float] = {}
        if left > 0:
            keeper = _StateKeeper(self, asked)
            history = self.ranker.fit(
                data,
                initial_epoch=state.epoch,
                epochs=training.epochs,  # Keras shows "Epoch 2/3"; the keeper ends it behind this one
                steps_per_epoch=left,
                callbacks=[keeper],
                shuffle=False,  # the dataset has done it; Keras warns otherwise
                verbose=1 if sys.stdout.isatty() else 2,  # a bar on a screen, a line per epoch in a file
            )
            logs = {name: float(values[-1]) for name, values in history.history.items()}
            if not math.isfinite(logs["loss"]):
                raise ConfigError(
                    f"training diverged: the loss of epoch {state.epoch + 1} is {logs['loss']}. Lower "
                    f"training.learning_rate ({training.learning_rate:g}), or set training.clip_norm=1"
                )
        state.seconds += time.monotonic() - started
        if left > 0 and math.isnan(state.input_rate):
            state.step_rate = keeper.examples_per_second()
            state.input_rate = self._input_rate()
            self.say(_input_line(state))
        with self._average.in_place():
            self._validate(logs)
        self.run.save_state(self.ranker, state)

    @property
    def _lists(self) -> str | None:
        return self.config.training.lists if self.config.model.list_loss else None

    def _set_rates(self) -> None:
        training = self.config.training
        if training.decay != "plateau":
            return
        optimizer: Any = getattr(self.ranker.optimizer, "inner_optimizer", self.ranker.optimizer)
        optimizer.learning_rate = self.state.rate * training.learning_rate
        if isinstance(optimizer, optimizers.TableOptimizer):
            optimizer.tables.learning_rate = self.state.rate * (training.table_learning_rate or training.learning_rate)

    def _input_rate(self) -> float:
        """Examples a second that the input pipeline gives when nobody trains, in the file's order."""
        training = self.config.training
        data = iter(
            training_dataset(
                self.source,
                self.ranker.preprocessor,
                training.rows_at_once,
                examples=self.state.examples,
                shuffle_buffer=0,
                deterministic=training.deterministic,
                lists=self._lists,
            )
        )
        next(data, None)  # it opens the files
        started, batches = time.perf_counter(), 0
        for _ in data:
            batches += 1
            if time.perf_counter() - started > 2:
                break
        return batches * training.rows_at_once / (time.perf_counter() - started)

    def _validate(self, logs: dict[str, float]) -> None:
        state = self.state
        try:
            by_task = evaluate(self.ranker, self._validation)
        except ValueError as error:
            raise ConfigError(f"the model of epoch {state.epoch + 1} cannot be validated: {error}") from None
        value = self._monitor.of(by_task)
        logs = dict(logs)
        for task, metrics in by_task.items():
            middle = "" if len(by_task) == 1 else f"{task}_"
            logs |= {f"val_{middle}{name}": value for name, value in metrics.items()}
            logs[f"val_{middle}loss"] = metrics["log_loss"]
        logs["epoch"] = state.epoch + 1
        state.history.append(logs)
        self._write_tensorboard(logs)
        signed = self._monitor.signed
        better = state.best_epoch < 0 or signed(value) > signed(state.best_value)
        if better:
            state.best_epoch, state.best_value = state.epoch, value
            self.run.save_model(self.ranker, self.run.best)
        elif self.config.training.decay == "plateau":
            state.rate /= 10
        shown = "  ".join(
            f"{task} AUC {metrics['auc']:.4f} NE {metrics['ne']:.4f}" for task, metrics in by_task.items()
        )
        self.say(f"epoch {state.epoch + 1}: validation {shown}{'  (best so far)' if better else ''}")
        state.epoch, state.step = state.epoch + 1, 0
        patience_over = state.epoch - 1 - state.best_epoch >= self.config.training.patience
        state.finished = state.epoch >= self.config.training.epochs or patience_over

    def _write_tensorboard(self, logs: dict[str, float]) -> None:
        writer = tf.summary.create_file_writer(str(self.run.tensorboard))
        with writer.as_default(step=self.state.epoch + 1):
            for name, value in logs.items():
                tf.summary.scalar(name, value)
        writer.close()


class _StateKeeper(keras.callbacks.Callback):
    """Saves the run's state every few minutes, and when the process is asked to stop."""

    def __init__(self, trainer: Trainer, asked: list[int]) -> None:
        super().__init__()
        self.trainer = trainer
        self.asked = asked
        self.first = trainer.state.step
        self.saved = time.monotonic()
        self.ended: list[tuple[int, float]] = []  # batches done, and when

    def examples_per_second(self) -> float:
        """Of the training steps between the first call, which compiles, and the last."""
        if len(self.ended) < 2:
            return math.nan
        (first, started), (last, ended) = self.ended[0], self.ended[-1]
        return (last - first) * self.trainer.config.training.rows_at_once / (ended - started)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.model.stop_training = True

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        state = self.trainer.state
        state.step = self.first + batch + 1
        self.ended.append((batch, time.perf_counter()))
        due = time.monotonic() - self.saved >= 60 * self.trainer.config.training.checkpoint_minutes
        if self.asked or due:
            self.trainer.run.save_state(self.trainer.ranker, state)
            self.saved = time.monotonic()
        if self.asked:
            raise Interrupted(f"stopped by signal {self.asked[0]} after batch {state.step} of epoch {state.epoch + 1}")


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """A list that holds the signal once SIGINT or SIGTERM came: a step is never cut in two."""
    asked: list[int] = []
    stops = (signal.SIGINT, signal.SIGTERM)
    try:
        before = {stop: signal.signal(stop, lambda number, _: asked.append(number)) for stop in stops}
    except ValueError:  # not the main thread: there signals are somebody else's
        before = {}
    try:
        yield asked
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)


def _input_line(state: RunState) -> str:
    """Says whether training waits for its data."""
    if math.isnan(state.step_rate) or not state.input_rate:
        return "input: too few batches to tell its speed"
    ratio = state.input_rate / state.step_rate
    return (
        f"input: {state.input_rate:,.0f} examples a second, {ratio:.1f} times what training takes: "
        f"{'input-bound, see docs/speed.md' if ratio < 1.5 else 'not input-bound'}"
    )
