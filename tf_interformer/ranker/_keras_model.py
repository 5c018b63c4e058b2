"""Training, evaluation and saving of a ranker by `keras.Model`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any

from tf_interformer import optimizers
from tf_interformer._keras import LEGACY, keras, keras_backend, ops
from tf_interformer._names import safe_name, with_own_name
from tf_interformer._signature_names import name_inputs
from tf_interformer._tensorflow import is_a, tf
from tf_interformer.backbones import Backbone
from tf_interformer.ranker._task_losses import TaskLosses
from tf_interformer.schema import FeatureSchema
from tf_interformer.schema._name import ROW_COLUMN
from tf_interformer.shapes import with_shapes

# Whether a `test_step` runs. Not an attribute: replicas trace their steps in threads of their own.
_EVALUATING = ContextVar("evaluating", default=False)


def is_evaluating() -> bool:
    """Whether a step of evaluation runs."""
    return _EVALUATING.get()


class KerasModel(keras.Model):
    """Base of the `Ranker`: what `keras.Model` does otherwise for it, in both Kerases: train, evaluate, save.

    Losses and metrics are by task, by the tasks' own names; XLA compiles the network behind the tables, and not these;
    logits are corrected in evaluation.
    """

    schema: FeatureSchema
    backbone: Backbone
    task_losses: TaskLosses
    _network: Any
    _compiled_network: Any

    @cached_property
    def encoded_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Shape of every column of an encoded batch."""
        return {column.name: column.shape for column in self.schema.encoded_columns}

    @property
    def encoded_signature(self) -> dict[str, tf.TensorSpec]:
        """Every column of an encoded batch as a tensor spec: ids and lengths are int32, numbers float32."""
        return {
            column.name: tf.TensorSpec(column.shape, tf.as_dtype(column.dtype), safe_name(column.name))
            for column in self.schema.encoded_columns
        }

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        loss_weights: Any = None,
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        """As `keras.Model.compile`, with three defaults of its own.

        The optimizer is `"lazy_adam"`, whose step costs what the batch costs; on other backends than TensorFlow what
        the tables cost. One of Keras is made to take a row that a batch reads several times as one row, see
        `optimizers.summing_rows`. The loss is binary cross-entropy on the logits, with the labels' weights. And on
        TensorFlow, `jit_compile` compiles the network *behind* the embedding tables by XLA, and leaves these outside:
        XLA would update whole tables, where only the rows of a batch change. `"auto"`, the default, compiles unless
        `compile_network` knows better.

        Raises:
            ValueError: If a loss or weights are given although `task_weighting` is `"uncertainty"`.
        """
        learned = self.task_losses.learned
        if learned and (loss is not None or loss_weights is not None):
            raise ValueError(
                "task_weighting='uncertainty' brings its own loss and learns the weights: compile without `loss` and "
                f"`loss_weights`. Received: loss={loss!r:.80}, loss_weights={loss_weights!r:.80}"
            )
        if loss is None:
            loss = {task: keras.losses.BinaryCrossentropy(from_logits=True) for task in self.schema.tasks}
            if not learned:
                loss_weights = loss_weights or {label.name: label.weight for label in self.schema.labels}
        self._jit_compile_choice = jit_compile
        if keras_backend() == "tensorflow":
            self.compile_network(jit_compile)
            jit_compile = False
        optimizer = optimizers.summing_rows(optimizers.get(optimizer))
        scales = self.compute_dtype == "float16" and kwargs.get("auto_scale_loss", True)
        if scales and not LEGACY and not isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
            optimizer = optimizers.RowLossScaleOptimizer(optimizer)  # Keras would take its own
        super().compile(optimizer=optimizer, loss=loss, loss_weights=loss_weights, jit_compile=jit_compile, **kwargs)
        self._prepare_metrics()
        if hasattr(self.optimizer, "build"):
            # Loading builds it too: a model that was saved before its first step must have the same state.
            self.optimizer.build(self.trainable_variables)

    def _prepare_metrics(self) -> None:
        """Make the means of the tasks' losses, which Keras else makes within the first step, and traces that twice.

        Outside of a graph they may have any names; Keras's other metrics are named after no task whose name TensorFlow
        does not take.
        """
        outputs = {task: ops.zeros((1, 1)) for task in self.schema.tasks}
        if not LEGACY:
            self._compile_loss.build(outputs, outputs)
            return
        self.compiled_loss.build(outputs)
        if any(safe_name(task) != task for task in self.schema.tasks):
            self.compiled_metrics._output_names = [safe_name(task) for task in sorted(self.schema.tasks)]

    def get_metrics_result(self) -> dict[str, Any]:
        """As `keras.Model.get_metrics_result`, by the tasks' own names."""
        return {with_own_name(name, self.schema.tasks): value for name, value in super().get_metrics_result().items()}

    @property
    def metrics_names(self) -> list[str]:
        """As `keras.Model.metrics_names`, by the tasks' own names."""
        return [with_own_name(name, self.schema.tasks) for name in super().metrics_names]

    def fit(self, x: Any = None, *arguments: Any, **options: Any) -> Any:
        """As `keras.Model.fit`; a dataset need not say its shapes. A batch of requests in arrays is one batch."""
        if isinstance(x, Mapping) and ROW_COLUMN in x:
            options.setdefault("shuffle", False)  # Keras warns where it has no effect
        x, arguments, options = _one_batch(x, arguments, options)
        if is_a(options.get("validation_data"), "data.Dataset"):
            options["validation_data"] = with_shapes(options["validation_data"], self.encoded_shapes)
        return super().fit(with_shapes(x, self.encoded_shapes), *arguments, **options)

    def evaluate(self, x: Any = None, *arguments: Any, **options: Any) -> Any:
        """As `keras.Model.evaluate`; a dataset need not say its shapes. A batch of requests in arrays is one batch.

        Loss and metrics are of the logits that `corrected` gives, as are those of `validation_data` in `fit`: the
        dataset is taken to hold all negatives.
        """
        x, arguments, options = _one_batch(x, arguments, options)
        return super().evaluate(with_shapes(x, self.encoded_shapes), *arguments, **options)

    def predict(self, x: Any, *arguments: Any, **options: Any) -> Any:
        """As `keras.Model.predict`; a dataset need not say its shapes. A batch of requests in arrays is one batch."""
        x, arguments, options = _one_batch(x, arguments, options)
        return super().predict(with_shapes(x, self.encoded_shapes), *arguments, **options)

    def test_step(self, *data: Any) -> Any:
        """One step of evaluation on a batch, its logits corrected for the down-sampling of the training split."""
        before = _EVALUATING.set(True)
        try:
            return super().test_step(*data)
        finally:
            _EVALUATING.reset(before)

    def compile_network(self, jit_compile: bool | str = "auto") -> None:
        """Let XLA compile what lies behind the embedding tables, or not. `compile` calls it.

        A backbone that XLA cannot train (`Backbone.compiled_training`) stays as it is. With `"auto"`, so does one that
        is faster without XLA on a machine that has no GPU (`Backbone.compiled_on_processors`).
        """
        if jit_compile == "auto":
            jit_compile = self.backbone.compiled_on_processors or bool(tf.config.list_physical_devices("GPU"))
        compiles = jit_compile and self.backbone.compiled_training
        self._compiled_network = tf.function(self._network, jit_compile=True) if compiles else None

    def total_loss(self, losses: Mapping[str, Any]) -> Any:
        """The tasks' losses added up as `task_weighting` has it, for a training loop of your own.

        Args:
            losses: dict. Task name -> loss, all of one shape: scalars, or one number per example.
        """
        return self.task_losses.total(losses, getattr(self, "log_variances", None))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """As `keras.Model.compute_loss`, the tasks' losses weighted by `task_weighting`, and `list_loss`."""
        log_variances = getattr(self, "log_variances", None)
        missing = self.task_losses.missing(x, y, y_pred, sample_weight, log_variances)
        if missing is None:
            return super().compute_loss(x, y, y_pred, sample_weight)
        if LEGACY:
            return self.compiled_loss(y, y_pred, sample_weight, regularization_losses=[*self.losses, missing])
        if keras_backend() == "tensorflow":
            missing = missing / tf.distribute.get_strategy().num_replicas_in_sync
        return super().compute_loss(x, y, y_pred, sample_weight) + missing

    def get_compile_config(self) -> dict[str, Any] | None:
        config = super().get_compile_config()
        if config and self.task_losses.learned:
            config = {name: value for name, value in config.items() if name not in ("loss", "loss_weights")}
        return {**config, "jit_compile": self._jit_compile_choice} if config else None

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile as a saved model was; Keras does so itself only for models that do not override `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    @contextmanager
    def without_xla(self) -> Iterator[None]:
        """Within it, graphs that are traced hold TensorFlow operations only, as an exported model must."""
        before, self._compiled_network = self._compiled_network, None
        try:
            yield
        finally:
            self._compiled_network = before

    def export(self, filepath: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.export`: a SavedModel whose `serve` takes what the model takes, encoded batches.

        Keras would make floats of all columns, ids included. A SavedModel that takes raw columns, as a server needs it,
        is made by `tf_interformer.export.export_saved_model`.

        Args:
            filepath: The folder to write.
            *args: As `keras.Model.export` takes them.
            **kwargs: Likewise. `input_signature` defaults to `[encoded_signature]`.
        """
        with self.without_xla():
            if LEGACY:  # tf_keras takes no signature, and keeps the shapes of the batch that it saw first
                archive = keras.export.ExportArchive()
                archive.track(self)
                archive.add_endpoint("serve", self.__call__, input_signature=[self.encoded_signature])
                archive.write_out(os.fspath(filepath))
            else:
                if len(args) < 3:
                    kwargs.setdefault("input_signature", [self.encoded_signature])
                super().export(os.fspath(filepath), *args, **kwargs)
        if os.path.isdir(filepath):  # Keras 3 writes a file where another format is asked for
            name_inputs(filepath, self.encoded_signature)

    def get_build_config(self) -> dict[str, Any]:
        return {}  # the constructor has built it

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Nothing to do: the constructor has built it."""


def _one_batch(
    x: Any, arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """A dataset of one batch for requests in arrays, which differ in their rows: Keras would cut them by rows."""
    if not isinstance(x, Mapping) or ROW_COLUMN not in x:
        return x, arguments, options
    y = arguments[0] if arguments else options.pop("y", None)
    weights = options.pop("sample_weight", None)
    batch = tuple(part for part in (dict(x), y, weights) if part is not None)
    others = {name: value for name, value in options.items() if name != "batch_size"}
    return tf.data.Dataset.from_tensors(batch), arguments[2:], others
