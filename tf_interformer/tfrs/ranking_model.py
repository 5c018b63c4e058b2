"""A `Ranker` as a model of TensorFlow Recommenders."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs

from tf_interformer import optimizers
from tf_interformer._keras import keras, register
from tf_interformer.metrics import gauc
from tf_interformer.metrics.grouped_auc import Weighting
from tf_interformer.ranker import Ranker
from tf_interformer.schema import FeatureSchema
from tf_interformer.tfrs._batch import as_column, unpack
from tf_interformer.tfrs._stored_examples import StoredExamples, group_ids
from tf_interformer.tfrs._task_losses import STREAMED, TaskLosses, default_tasks, training_factors

_GROUPED: dict[str, Weighting] = {"gauc": "impressions", "gauc_click_weighted": "clicks"}


@register
class RankingModel(tfrs.models.Model):
    """A `Ranker` trained as a `tfrs.models.Model`, by one `tfrs.tasks.Ranking` per label.

    What `tfrs.models.Model` leaves to its user is settled here:

    - The loss is the mean over the *global* batch, whatever the number of replicas and however unevenly the last
      batch falls to them, and so is a regularisation loss.
    - `loss`, `regularization_loss` and `total_loss` in the logs are means over the epoch, not the last batch's
      values, so that they can be monitored. With several tasks each has its `TASK_loss`, without the task's weight.
    - Under `mixed_float16` the loss is scaled, under `mixed_bfloat16` it need not be. The logits are float32.
    - Metrics are computed in evaluation only, unless `training_metrics`.
    - Where the training split is down-sampled (`Label.negative_rate`), losses and metrics of an evaluation are of
      corrected logits: its data are taken to hold all negatives. The NE of training batches is relative to the click
      rate of that split.
    - Grouped AUC is exact, over the whole evaluation.
    - The ranker's `list_loss` goes by the groups of the batch.

    A batch is encoded, as `encode` or the `Preprocessor` makes it, and has one of three forms:

    - `features`, a dict that holds the labels too, by the names of the tasks;
    - `(features, labels)`, where `labels` is a dict, or for one task a tensor;
    - `(features, labels, others)`, where `others` is a tensor of sample weights, or a dict.

    Sample weights and groups may stand in `others` or in `features`, by the names `weight_column` and
    `group_column`. A sample weight is `[B]` or `[B, 1]`, or a dict of these by task; losses are weighted sums divided
    by the number of examples, as Keras has it.

    Args:
        ranker: `Ranker` or its config.
        tasks: dict or `None`. Task name -> `tfrs.tasks.Ranking` with a loss per example (`reduction="none"`) on
            logits. Defaults to `None`: binary cross-entropy and `metrics`.
        weights: dict or `None`. Task name -> weight of its loss. Defaults to `None`: those of the ranker, by its
            `task_weighting`.
        metrics: list of str. `"auc"` (Keras's, by thresholds), `"ne"`, `"calibration"`, `"gauc"` (weighted by
            impressions), `"gauc_click_weighted"`; with several tasks their names begin with the task's. The last two
            need groups and a synchronous strategy, and are added when an evaluation ends. Defaults to
            `("auc", "ne")`.
        training_metrics: bool. Whether training batches update the metrics too. Defaults to `False`.
        group_column: str. Defaults to `"group"`.
        weight_column: str. Defaults to `"sample_weight"`.

    Call arguments:
        inputs: dict of tensors, encoded features; further columns are ignored.

    Returns:
        dict: task name -> logits `[B, 1]`.

    Raises:
        ValueError: If a metric or task is unknown, two metrics have one name, a loss is already reduced, or a batch
            lacks a label or the groups.

    Example:

    >>> from tf_interformer.schema import Categorical, FeatureSchema, Label
    >>> schema = FeatureSchema(
    ...     features=[Categorical("item", vocabulary=["a", "b"]), Categorical("user", hash_buckets=10)],
    ...     labels=[Label("click", mean=0.5)], group="user", group_dtype="string")
    >>> model = RankingModel(Ranker(schema, "hiformer", {"num_heads": 2}), metrics=["auc", "gauc"])
    >>> model.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
    >>> log = {"item": ["a", "b", "a", "b"], "user": ["x", "x", "y", "y"], "click": [1.0, 0.0, 0.0, 1.0]}
    >>> data = tf.data.Dataset.from_tensor_slices(log).batch(2).map(model.encode)
    >>> history = model.fit(data, validation_data=data, verbose=0)
    >>> sorted(history.history)[:4]
    ['loss', 'regularization_loss', 'total_loss', 'val_auc']
    >>> model.evaluate(data, verbose=0, return_dict=True)["gauc"] in (0.0, 0.5, 1.0)
    True
    """

    def __init__(
        self,
        ranker: Ranker | Mapping[str, Any],
        tasks: Mapping[str, Any] | None = None,
        weights: Mapping[str, float] | None = None,
        metrics: Sequence[str] = ("auc", "ne"),
        training_metrics: bool = False,
        group_column: str = "group",
        weight_column: str = "sample_weight",
        **kwargs: Any,
    ) -> None:
        own = ranker if isinstance(ranker, Ranker) else Ranker.from_config(ranker)
        super().__init__(**{"dtype": own.dtype_policy, **kwargs})
        self.ranker: Ranker = own
        known = (*STREAMED, *_GROUPED)
        if isinstance(metrics, str) or set(metrics) - set(known):
            raise ValueError(f"`metrics` must be a list of {', '.join(known)}. Received: metrics={metrics!r}")
        if weights and own.task_weighting == "uncertainty":
            raise ValueError(f"the ranker's task_weighting='uncertainty' learns the weights. Received: {weights=}")
        labels = {label.name: label for label in self.schema.labels}
        for name, given in {"tasks": tasks or labels, "weights": weights or {}}.items():
            if set(given) - set(labels) or (name == "tasks" and set(given) != set(labels)):
                raise ValueError(f"`{name}` must go by the labels {list(labels)}. Received: {list(given)}")
        self.training_metrics = training_metrics
        self.group_column = group_column
        self.weight_column = weight_column
        self._own_tasks = tasks is None
        self._chosen_metrics = tuple(metrics)
        self._grouped = tuple(name for name in metrics if name in _GROUPED)
        made = tasks or default_tasks(self.schema.labels, metrics)
        self._training_factors = training_factors(self.schema.labels) if self._own_tasks else {}
        self._weights = {name: label.weight for name, label in labels.items()} | dict(weights or {})
        self._tasks = TaskLosses({name: made[name] for name in labels}, self._weigh, self.ranker.list_loss)
        self._stored: StoredExamples | None = None
        # The logs are of all replicas already: Keras would add them up.
        self.distribute_reduction_method = "first"

    @property
    def metrics(self) -> list[Any]:
        """What is reset when an epoch or an evaluation begins."""
        return self._tasks.metrics

    @property
    def schema(self) -> FeatureSchema:
        """The schema of the ranker."""
        return self.ranker.schema

    def encode(self, raw: Mapping[str, Any]) -> tuple[dict, dict, dict]:
        """`(features, labels, others)` of a raw batch with labels: map it over a dataset before `fit`.

        `others` holds the raw keys, the group and the `"request"`, and the sample weight, where the schema and the
        batch have them.
        """
        with tf.init_scope():  # its tables are made when it is first asked for, which may be in a dataset's graph
            encode = self.ranker.preprocessor
        others = {}
        for role, (column, _) in self.schema.key_columns.items():
            if column in raw:
                others[self.group_column if role == "group" else role] = tf.convert_to_tensor(raw[column])
        weight = self.schema.weight or self.weight_column
        if weight in raw:
            others[self.weight_column] = as_column(raw[weight])
        return encode(raw), encode.labels(raw), others

    def compile(self, optimizer: Any = None, jit_compile: bool | str = "auto", **kwargs: Any) -> None:
        """As `keras.Model.compile`; losses and metrics belong to the tasks.

        The optimizer is that of `Ranker.compile`: without one, `"lazy_adam"`.
        `jit_compile` compiles the network behind the embedding tables by XLA, as `Ranker.compile` does.
        """
        given = [name for name in ("loss", "metrics", "loss_weights", "weighted_metrics") if kwargs.get(name)]
        if given:
            raise ValueError(f"losses and metrics are arguments of RankingModel, not of compile. Received: {given}")
        self.ranker.compile_network(jit_compile)
        self._jit_compile_choice = jit_compile
        # An empty list, because Keras warns of sample weights without metrics that use them.
        optimizer = optimizers.summing_rows(optimizers.get(optimizer))
        super().compile(optimizer=optimizer, jit_compile=False, **{**kwargs, "weighted_metrics": []})
        if hasattr(self.optimizer, "build"):
            self.optimizer.build(self.trainable_variables)
        if self._grouped:
            columns = {f"{task}_{what}": tf.float32 for task in self.schema.tasks for what in ("label", "logit")}
            self._stored = StoredExamples({"group": tf.int64, **columns})

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        columns = self.ranker.encoded_shapes
        return self.ranker({name: x for name, x in inputs.items() if name in columns}, training=training)

    def corrected(self, logits: Mapping[str, Any]) -> dict[str, Any]:
        """`Ranker.corrected`: of the logits in evaluation, not of those that `call` returns."""
        return self.ranker.corrected(logits)

    def compute_loss(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """This replica's share of the mean loss over the global batch, without regularisation.

        Args:
            inputs: A batch, in one of the three forms above.
            training: Whether the model is in training mode.
        """
        return self._shares(inputs, training)[0]

    def train_step(self, inputs: Any) -> dict[str, Any]:
        """One step of training on a batch."""
        scaling = isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)
        with tf.GradientTape() as tape:
            total = tf.add_n(self._shares(inputs, training=True))
            if scaling:
                total = self.optimizer.get_scaled_loss(total)
        gradients = tape.gradient(total, self.trainable_variables)
        if scaling:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self._tasks.logs(self.training_metrics, self._training_factors)

    def test_step(self, inputs: Any) -> dict[str, Any]:
        """One step of evaluation on a batch."""
        self._shares(inputs, training=False)
        return self._tasks.logs(with_metrics=True)

    def evaluate(self, *args: Any, return_dict: bool = False, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`; a list is in the order of the dict."""
        if self._stored is not None:
            self._stored.clear()
        logs = super().evaluate(*args, return_dict=True, **kwargs)
        logs |= self._grouped_auc()
        return logs if return_dict else list(logs.values())

    def _shares(self, inputs: Any, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Loss and regularisation loss: summed over the replicas they are means over the global batch."""
        features, labels, others = unpack(inputs, self.schema.tasks, (self.weight_column, self.group_column))
        logits = self(features, training=training)
        if not training:
            logits = self.corrected(logits)
        with_metrics = self.training_metrics or not training
        groups = others[self.group_column]
        lists = group_ids(self._needed(groups, "list_loss")) if self.ranker.list_loss else None
        loss = self._tasks.update(labels, logits, others[self.weight_column], lists, with_metrics)
        if self._stored is not None and not training:
            self._store(labels, logits, groups)

        here = tf.cast(tf.size(loss), tf.float32)
        replica = tf.distribute.get_replica_context()
        everywhere = here if replica is None else replica.all_reduce(tf.distribute.ReduceOp.SUM, here)
        penalty = tf.add_n([tf.zeros([]), *(tf.reduce_sum(tf.cast(x, tf.float32)) for x in self.losses)])
        # A replica without examples, as the last batch may leave one, has a penalty of 0 / 0.
        penalty = tf.math.multiply_no_nan(penalty, here)
        self._tasks.update_penalty(tf.math.divide_no_nan(penalty, here), here)
        return tf.math.divide_no_nan(tf.reduce_sum(loss), everywhere), tf.math.divide_no_nan(penalty, everywhere)

    def _weigh(self, losses: Mapping[str, Any]) -> Any:
        if self.ranker.task_weighting == "uncertainty":
            return self.ranker.total_loss(losses)
        return sum(self._weights[task] * loss for task, loss in losses.items())

    def _needed(self, groups: Any, what: str) -> Any:
        if groups is None:
            raise ValueError(
                f"{what} needs the batch's groups under {self.group_column!r}, in the features or in a dict after the "
                "labels. Received: a batch without them"
            )
        return groups

    def _store(self, labels: Mapping[str, Any], logits: Mapping[str, Any], groups: Any) -> None:
        examples = {"group": group_ids(self._needed(groups, self._grouped[0]))}
        examples |= {f"{task}_label": labels[task] for task in self.schema.tasks}
        examples |= {f"{task}_logit": logits[task] for task in self.schema.tasks}
        assert self._stored is not None
        self._stored.append(examples)

    def _grouped_auc(self) -> dict[str, float]:
        if self._stored is None:
            return {}
        rows = self._stored.read()
        self._stored.clear()
        return {
            metric if len(self.schema.tasks) == 1 else f"{task}_{metric}": gauc(
                rows[f"{task}_label"], rows[f"{task}_logit"], rows["group"], weighting=_GROUPED[metric]
            )
            for task in self.schema.tasks
            for metric in self._grouped
        }

    def get_config(self) -> dict[str, Any]:
        if not self._own_tasks:
            raise NotImplementedError(
                "a RankingModel with tasks of yours has no config, as those have none: save its `ranker`"
            )
        return {
            "name": self.name,
            "ranker": self.ranker.get_config(),
            "weights": dict(self._weights) if self.ranker.task_weighting == "fixed" else None,
            "metrics": list(self._chosen_metrics),
            "training_metrics": self.training_metrics,
            "group_column": self.group_column,
            "weight_column": self.weight_column,
        }

    def get_compile_config(self) -> dict[str, Any]:
        return {**super().get_compile_config(), "jit_compile": self._jit_compile_choice}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile as a saved model was; Keras does so itself only for models that do not override `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def get_build_config(self) -> dict[str, Any]:
        return {}  # the ranker is built by its constructor

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Nothing to do: the ranker is built by its constructor."""
