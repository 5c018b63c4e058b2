"""A click-through-rate ranking model: schema, backbone, one tower per task."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tf_interformer import backbones, columns, optimizers
from tf_interformer._keras import LEGACY, keras, keras_backend, ops, register
from tf_interformer._names import safe_name, with_own_name
from tf_interformer._signature_names import name_inputs
from tf_interformer._tensorflow import is_a, tf
from tf_interformer._traced_columns import TracedColumns
from tf_interformer.backbones.base import sequences_of
from tf_interformer.embedding import TokenEmbedder
from tf_interformer.layers._common import attach, build_sublayer, repeat_rows, wide
from tf_interformer.layers.mlp import MLP
from tf_interformer.losses import list_losses

# Named here to be registered: a saved model may have been compiled with them.
from tf_interformer.metrics import Calibration as Calibration
from tf_interformer.metrics import NormalizedEntropy as NormalizedEntropy
from tf_interformer.schema import Feature, FeatureSchema, SchemaError
from tf_interformer.schema._name import LIST_COLUMN
from tf_interformer.schema._parts import SchemaParts
from tf_interformer.shapes import with_shapes, with_widths

if TYPE_CHECKING:
    from tf_interformer.preprocessing import Preprocessor

# Whether a `test_step` runs. Not an attribute: replicas trace their steps in threads of their own.
_EVALUATING = ContextVar("evaluating", default=False)


@register
class Ranker(keras.Model):
    """Ranks by click probability: `TokenEmbedder`, a backbone, one tower per label of the schema.

    The model is fed with *encoded* batches, as `Preprocessor` makes them in the input pipeline, and returns
    a logit per task. `score` takes raw batches, and an exported model does so too.

    Args:
        schema: `FeatureSchema` or its config. A learned one.
        backbone: str, dict or `Backbone`. Name in the registry of `tf_interformer.backbones`, Keras config,
            or an instance. Defaults to `"interformer"`.
        backbone_config: dict or None. Arguments for a backbone that is given by name.
        embedding: dict or None. Arguments of `TokenEmbedder`: `dim`, `dense_tokens`, `l2`, ...
        tower_units: tuple of int. Hidden units of every tower. Defaults to (128, 64).
        tower_activation: str. Activation of the hidden units. Defaults to `"swish"`.
        tower_dropout: float. Dropout after each hidden layer. Defaults to 0.
        tower_numbers: bool. Whether the towers read the numeric features, too, beside what the backbone returns, as
            in Wide & Deep: a few tokens hold less than many numbers tell. Defaults to `False`.
        linear_terms: float. Above 0, each logit has linear terms, too, `linear_terms * (sum_i u_i w_i[id_i] + v x)`
            with a weight `w_i` for every id of every categorical feature and the numeric features `x`, as in FM and
            Wide & Deep. The factor is ours: under Adam and its like the terms move so many times as fast as the rest,
            which, where tables learn slowly, they must. Defaults to 0, none.
        task_weighting: str. How the tasks' losses `L_t` are added up. `"fixed"`: `sum_t weight_t L_t`, with the
            labels' weights. `"uncertainty"`: `sum_t exp(-s_t) L_t + s_t / 2` with a trainable log-variance `s_t`
            per task, as printed for classification. That `s_t` starts at `-log(weight_t)` is ours. Defaults to
            `"fixed"`.
        list_loss: float. Above 0, the loss has the mean of `tf_interformer.losses.list_losses` in it, times this and
            the label's weight, over the lists, or users, whose examples stand in one batch: training batches must say
            which, see `Preprocessor.training_batch`, and hold several examples of each. Where users differ in how
            much they click, items are then ordered better for each of them (gAUC). Defaults to 0.

    Call arguments:
        inputs: dict of tensors, an encoded batch.

    Returns:
        dict: task name -> logits `[B, 1]`, float32 or wider whatever the dtype policy.

    Raises:
        SchemaError: The schema is not learned.
        ValueError: If `task_weighting` is unknown, or it is `"uncertainty"` and a label's weight is 0; or
            `tower_numbers` without numeric features; or `linear_terms` is below 0 or there is no categorical feature
            for it; or `list_loss` is below 0, or a batch does not say which list its examples are of.

    References:
        - [Kendall et al., 2018, section 3](https://arxiv.org/abs/1705.07115): `"uncertainty"`.
        - [Cheng et al., 2016](https://arxiv.org/abs/1606.07792), Wide & Deep: `tower_numbers`, `linear_terms`.

    Example:

    >>> import numpy as np
    >>> from tf_interformer.schema import Categorical, FeatureSchema, Label, Sequence
    >>> schema = FeatureSchema(
    ...     features=[Categorical("item", vocabulary=["a", "b"]), Categorical("user", hash_buckets=10)],
    ...     sequences=[Sequence("viewed", fields=[Categorical("item", table="item")], max_length=5)],
    ...     labels=[Label("click", mean=0.1)])
    >>> ranker = Ranker(schema, backbone_config={"num_layers": 1}, embedding={"dim": 8})
    >>> raw = {"item": np.array(["a", "b"]), "user": np.array(["u1", "u2"]),
    ...        "viewed_item": np.array([["b", ""], ["a", "b"]]), "viewed_length": np.array([1, 2])}
    >>> ranker.score(raw)["click"].shape
    (2,)
    """

    def __init__(
        self,
        schema: FeatureSchema | Mapping[str, Any],
        backbone: str | Mapping[str, Any] | backbones.Backbone = "interformer",
        backbone_config: Mapping[str, Any] | None = None,
        embedding: Mapping[str, Any] | None = None,
        tower_units: Sequence[int] = (128, 64),
        tower_activation: str = "swish",
        tower_dropout: float = 0.0,
        tower_numbers: bool = False,
        linear_terms: float = 0.0,
        task_weighting: Literal["fixed", "uncertainty"] = "fixed",
        list_loss: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if task_weighting not in ("fixed", "uncertainty"):
            raise ValueError(f"`task_weighting` must be 'fixed' or 'uncertainty'. Received: {task_weighting!r}")
        super().__init__(**kwargs)
        if not isinstance(schema, FeatureSchema):
            schema = FeatureSchema.from_config(schema)
        schema.require_learned()
        if tower_numbers and not schema.numbers:
            raise ValueError("`tower_numbers` needs numeric features: the schema has none")
        for name, value in {"linear_terms": linear_terms, "list_loss": list_loss}.items():
            if not value >= 0:
                raise ValueError(f"`{name}` must be at least 0. Received: {value!r}")
        if linear_terms and not _without_numbers(schema):
            raise ValueError("`linear_terms` needs categorical features: the schema has none")
        self.schema = schema
        self.embedding = dict(embedding or {})
        self.tower_units = tuple(tower_units)
        self.tower_activation = tower_activation
        self.tower_dropout = tower_dropout
        self.tower_numbers = tower_numbers
        self.linear_terms = float(linear_terms)
        self.task_weighting = task_weighting
        self.list_loss = float(list_loss)

        dtype = self.dtype_policy
        self.embedder = TokenEmbedder(schema, **self.embedding, name="embedder", dtype=dtype)
        if self.linear_terms:
            self._create_linear_terms()
        self.backbone = self._backbone(backbone, backbone_config)
        self.towers = {
            label.name: MLP(
                (*self.tower_units, 1),
                activation=tower_activation,
                dropout=tower_dropout,
                # Starting at the base rate saves the first steps, which would only learn it.
                final_bias_initializer=keras.initializers.Constant(_logit(label.mean) - label.logit_correction),
                name=f"tower_{safe_name(label.name)}",
                dtype=dtype,
            )
            for label in schema.labels
        }
        for tower in self.towers.values():
            attach(self, tower.name, tower)
        if task_weighting == "uncertainty":
            self.log_variances = self._log_variances()
        self._compiled_network = None
        # Set so that Keras, which saves what it tracks, does not track it.
        object.__setattr__(self, "_traced", {})
        # The schema says every shape, so the weights exist from the start.
        self.build(self.encoded_shapes)

    def _create_linear_terms(self) -> None:
        """Weights of ids are embeddings of width 1, of the features alone; all terms start at 0."""
        dtype = self.dtype_policy
        kept = _without_numbers(self.schema)
        candidate = tuple(feature.name for feature in kept if feature.name in self.schema.candidate)
        schema = SchemaParts(features=kept, labels=self.schema.labels, candidate=candidate)
        self.linear_embedder = TokenEmbedder(schema, dim=1, stddev=0.0, name="linear_embedder", dtype=dtype)
        starts = {"linear": "ones"} | ({"numbers": "zeros"} if self.schema.numbers else {})
        self.linear_maps: dict[str, dict[str, Any]] = {}  # by task, by what is read of the tokens
        for task in self.schema.tasks:
            self.linear_maps[task] = {
                of: keras.layers.Dense(
                    1, use_bias=False, kernel_initializer=start, name=f"wide_{of}_{safe_name(task)}", dtype=dtype
                )
                for of, start in starts.items()
            }
            for layer in self.linear_maps[task].values():
                attach(self, layer.name, layer)

    def _linear(self, task: str, tokens: Mapping[str, Any]) -> Any:
        terms = [layer(tokens[of]) for of, layer in self.linear_maps[task].items()]
        return self.linear_terms * sum(terms)

    def _backbone(
        self, backbone: str | Mapping[str, Any] | backbones.Backbone, config: Mapping[str, Any] | None
    ) -> backbones.Backbone:
        tasks = self.schema.tasks
        if isinstance(backbone, str):
            config = dict(config or {})
            if backbones.needs_targets(backbone):
                config.setdefault("targets", backbones.targets_of(self.schema, self.embedder.feature_names))
            return backbones.get(backbone, tasks=tasks, name="backbone", dtype=self.dtype_policy, **config)
        if config is not None:
            raise ValueError(f"`backbone_config` needs a backbone given by name. Received: backbone={backbone!r:.80}")
        made: backbones.Backbone = backbones.get(backbone)
        if tuple(made.tasks) != tasks:
            raise ValueError(f"the backbone's tasks must be the schema's labels {tasks}. Received: {made.tasks}")
        return made

    def _log_variances(self) -> Any:
        weights = {label.name: label.weight for label in self.schema.labels}
        if not all(weights.values()):
            raise ValueError(f"'uncertainty' needs labels with a weight above 0. Received: {weights}")
        start = [-math.log(weight) for weight in weights.values()]
        return self.add_weight(
            name="log_variances",
            shape=(len(start),),
            initializer=lambda shape, dtype=None, **_: ops.convert_to_tensor(start, dtype),
            trainable=True,
        )

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

    def build(self, input_shape: Any = None) -> None:
        if getattr(self, "built", False):
            return
        shapes = self.encoded_shapes
        build_sublayer(self.embedder, shapes)
        tokens = self.embedder.compute_output_shape(shapes)
        if not self.backbone.built:  # one that was deserialised is built already
            build_sublayer(self.backbone, tokens)
        representations = self.backbone.compute_output_shape(tokens)
        extra = tokens["numbers"][1] if self.tower_numbers else 0
        for task, tower in self.towers.items():
            batch, width = representations[task]
            build_sublayer(tower, (batch, width + extra))
        if self.linear_terms:
            build_sublayer(self.linear_embedder, shapes)
            shapes_of = {**tokens, "linear": (None, len(self.linear_embedder.feature_names))}
            for layers in self.linear_maps.values():
                for of, layer in layers.items():
                    build_sublayer(layer, shapes_of[of])
        self.built = True

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        tokens = self._tokens(inputs, training)
        network: Any = self._network
        if self._compiled_network is not None and _in_graph(tokens["features"]):
            network = self._compiled_network
        logits: dict[str, Any] = network(tokens, training)
        return self.corrected(logits) if _EVALUATING.get() else logits

    def _tokens(self, inputs: Mapping[str, Any], training: bool | None) -> dict[str, Any]:
        """What is read from the tables; `"linear"` `[B, N]` for the linear terms."""
        inputs = with_widths(inputs, self.encoded_shapes)
        tokens: dict[str, Any] = self.embedder(inputs, training=training)
        if not self.linear_terms:
            return tokens
        return {**tokens, "linear": _flat(self.linear_embedder(inputs, training=training))}

    def _network(self, tokens: Mapping[str, Any], training: bool | None) -> dict[str, Any]:
        """Everything behind the embedding tables."""
        return self._logits(self.backbone(tokens, training=training), tokens, training)

    def _logits(
        self, representations: Mapping[str, Any], tokens: Mapping[str, Any], training: bool | None
    ) -> dict[str, Any]:
        """Logit per task `[B, 1]`: the tower's, of what the backbone returned and the numbers, and the linear terms."""
        logits = {}
        for task, tower in self.towers.items():
            x = representations[task]
            if self.tower_numbers:
                x = ops.concatenate([x, tokens["numbers"]], axis=-1)
            logits[task] = wide(tower(x, training=training))
            if self.linear_terms:
                logits[task] += wide(self._linear(task, tokens))
        return logits

    @contextmanager
    def without_xla(self) -> Iterator[None]:
        """Within it, graphs that are traced hold TensorFlow operations only, as an exported model must."""
        before, self._compiled_network = self._compiled_network, None
        try:
            yield
        finally:
            self._compiled_network = before

    def compute_output_shape(self, input_shape: Any = None) -> dict[str, tuple[int | None, int]]:
        return dict.fromkeys(self.schema.tasks, (None, 1))

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
        learned = self.task_weighting == "uncertainty"
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
        """As `keras.Model.fit`; a dataset need not say its shapes."""
        if is_a(options.get("validation_data"), "data.Dataset"):
            options["validation_data"] = with_shapes(options["validation_data"], self.encoded_shapes)
        return super().fit(with_shapes(x, self.encoded_shapes), *arguments, **options)

    def evaluate(self, x: Any = None, *arguments: Any, **options: Any) -> Any:
        """As `keras.Model.evaluate`; a dataset need not say its shapes.

        Loss and metrics are of the logits that `corrected` gives, as are those of `validation_data` in `fit`: the
        dataset is taken to hold all negatives.
        """
        return super().evaluate(with_shapes(x, self.encoded_shapes), *arguments, **options)

    def predict(self, x: Any, *arguments: Any, **options: Any) -> Any:
        """As `keras.Model.predict`; a dataset need not say its shapes."""
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
        if self.task_weighting == "fixed":
            return sum(label.weight * losses[label.name] for label in self.schema.labels)
        variances = zip(self.schema.tasks, ops.unstack(ops.convert_to_tensor(self.log_variances)), strict=True)
        return sum(ops.exp(-s) * losses[task] + s / 2 for task, s in variances)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """As `keras.Model.compute_loss`, the tasks' losses weighted by `task_weighting`, and `list_loss`."""
        missing = self._missing_loss(x, y, y_pred, sample_weight)
        if missing is None:
            return super().compute_loss(x, y, y_pred, sample_weight)
        if LEGACY:
            return self.compiled_loss(y, y_pred, sample_weight, regularization_losses=[*self.losses, missing])
        if keras_backend() == "tensorflow":
            missing = missing / tf.distribute.get_strategy().num_replicas_in_sync
        return super().compute_loss(x, y, y_pred, sample_weight) + missing

    def _missing_loss(self, inputs: Any, labels: Any, logits: Mapping[str, Any], weights: Any) -> Any:
        """What the loss has beside what Keras adds up: weights that are learned, and `list_loss`."""
        listed = {}
        if self.list_loss:
            if LIST_COLUMN not in inputs:
                raise ValueError(
                    "`list_loss` needs batches that say which list each example is of: make them by "
                    "`preprocessor.training_batch(raw, lists='group')`"
                )
            lists = inputs[LIST_COLUMN]
            means = self._means(lambda label, logit: list_losses(label, logit, lists), labels, logits, weights)
            listed = {task: self.list_loss * mean for task, mean in means.items()}
        if self.task_weighting == "fixed":
            return self.total_loss(listed) if listed else None
        # Keras adds the losses up unweighted, and keeps their means for the logs: what is missing is the difference.
        binary = self._means(_binary_losses, labels, logits, weights)
        whole = {task: mean + listed.get(task, 0.0) for task, mean in binary.items()}
        return self.total_loss(whole) - sum(binary.values())

    def _means(
        self, losses: Callable[[Any, Any], Any], labels: Any, logits: Mapping[str, Any], weights: Any
    ) -> dict[str, Any]:
        """Mean loss per task; weighted sums divided by the number of examples, as Keras has it."""
        means = {}
        for task, logit in logits.items():
            label = labels[task] if isinstance(labels, Mapping) else labels
            label = ops.cast(ops.reshape(label, (-1, 1)), logit.dtype)
            loss = losses(label, logit)
            weight = weights.get(task) if isinstance(weights, Mapping) else weights
            if weight is not None:
                loss = loss * ops.cast(ops.reshape(weight, (-1,)), loss.dtype)
            # A replica may be left without examples.
            means[task] = ops.sum(loss) / ops.cast(ops.maximum(ops.shape(logit)[0], 1), loss.dtype)
        return means

    def get_compile_config(self) -> dict[str, Any] | None:
        config = super().get_compile_config()
        if config and self.task_weighting == "uncertainty":
            config = {name: value for name, value in config.items() if name not in ("loss", "loss_weights")}
        return {**config, "jit_compile": self._jit_compile_choice} if config else None

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile as a saved model was; Keras does so itself only for models that do not override `compile`."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    @cached_property
    def preprocessor(self) -> Preprocessor:
        """The schema's `Preprocessor`: map it over a dataset of raw batches before `fit`."""
        from tf_interformer.preprocessing import Preprocessor

        with tf.init_scope():  # its tables outlive the graph in which it may be asked for first
            return Preprocessor(self.schema, dtype=self.compute_dtype)

    def score(self, raw: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Probability per task `[B]` of a raw batch.

        Columns that are arrays, or tensors, of the signature's kinds are computed as one graph, which the first call
        traces and every number of rows shares; whatever else `Preprocessor` takes is computed eagerly.

        Args:
            raw: dict of arrays, by column, as in `FeatureSchema.signature`. Features with `serve_as` take that
                value, whatever the batch holds.
        """
        if not raw:
            raise SchemaError("a raw batch must hold the schema's columns. Received: {}")
        logits = self._computed("served_logits", self.schema.signature(), raw)
        return {task: ops.convert_to_numpy(ops.sigmoid(logit))[:, 0] for task, logit in logits.items()}

    def score_candidates(self, user: Mapping[str, Any], items: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Probability per task `[N]` of N items for one user, as `score` gives them for N rows.

        What does not depend on the item is computed once: the user's and the context's columns, and the part of the
        backbone that sees the sequences alone.

        Args:
            user: dict of arrays with one row: the columns of `FeatureSchema.signature` that the schema's `candidate`
                does not name.
            items: dict of arrays with N rows: the columns that it names.

        Raises:
            SchemaError: The schema names no candidate features, a column is missing, or the rows are not so many.

        Example:

        >>> schema = FeatureSchema.from_config({
        ...     "features": [{"kind": "categorical", "name": "item", "vocabulary": ["a", "b"]},
        ...                  {"kind": "categorical", "name": "user", "hash_buckets": 10}],
        ...     "labels": [{"name": "click", "mean": 0.1}], "candidate": ["item"]})
        >>> ranker = Ranker(schema, backbone="hiformer", backbone_config={"num_heads": 2}, embedding={"dim": 8})
        >>> ranker.score_candidates({"user": np.array(["u1"])}, {"item": np.array(["a", "b", "new"])})["click"].shape
        (3,)
        """
        raw = self._candidate_columns(user, items)
        logits = self._computed("served_candidate_logits", self.schema.candidate_signature(), raw)
        return {task: ops.convert_to_numpy(ops.sigmoid(logit))[:, 0] for task, logit in logits.items()}

    def _computed(self, name: str, signature: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
        """What a method makes of raw columns: by a graph, which is traced at the first call."""
        method = getattr(self, name)
        if keras_backend() != "tensorflow":
            return method(raw)
        if name not in self._traced:

            def function(raw: Mapping[str, Any]) -> dict[str, Any]:
                with self.without_xla():  # which would compile for every number of rows
                    return method(raw)

            self._traced[name] = TracedColumns(function, signature)
        return self._traced[name](raw)

    def _candidate_columns(self, user: Mapping[str, Any], items: Mapping[str, Any]) -> dict[str, Any]:
        names = self.schema.candidate
        if not names:
            raise SchemaError(
                f"schema {self.schema.name!r} does not say which features describe the candidates: give "
                "`FeatureSchema(candidate=(...))` their names"
            )
        raw = {}
        for column in self.schema.served_columns:
            owner, given = ("items", items) if column.side == "candidate" else ("user", user)
            if column.name not in given:
                raise SchemaError(f"`{owner}` lacks the column {column.name!r}. Received: {', '.join(sorted(given))}")
            raw[column.name] = given[column.name]
        rows = {name: columns.count_rows(value) for name, value in raw.items()}
        for name, count in rows.items():
            if name not in names and count != 1:
                raise SchemaError(f"`user` must hold one row. Received: {count} rows of column {name!r}")
            if name in names and (count != rows[names[0]] or count == 0):
                raise SchemaError(
                    "all columns of `items` must have the same number of rows, at least one. Received: "
                    f"{rows[names[0]]} of {names[0]!r}, {count} of {name!r}"
                )
        return raw

    def served_candidate_logits(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Logit per task `[N, 1]` of N candidates as they are served.

        Args:
            raw: dict of tensors, by column, as in `FeatureSchema.candidate_signature`.
        """
        encoded = self.preprocessor(raw, serving=True)
        tokens = self.embedder.candidate_tokens(encoded)
        if self.linear_terms:
            tokens["linear"] = _flat(self.linear_embedder.candidate_tokens(encoded))
        shared = self.backbone.shared(sequences_of(tokens))
        count = ops.shape(tokens["features"])[0]
        shared = tf.nest.map_structure(lambda value: repeat_rows(value, count), shared)
        network_inputs = {
            key: tokens[key] for key in ("features", "ids", "numbers", "linear") if key in tokens
        } | shared
        return self.corrected(self._network(network_inputs, training=False))

    def served_outputs(self, raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Of a raw batch as it is served: `served_logits`, and per task what the backbone returns, float32 or wider."""
        tokens = self._tokens(self.preprocessor(raw, serving=True), training=False)
        representations = self.backbone(tokens, training=False)
        logits = self.corrected(self._logits(representations, tokens, training=False))
        return logits, {task: wide(value) for task, value in representations.items()}

    def served_logits(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Logit per task `[B, 1]` of a raw batch as it is served: `serve_as` put in, down-sampling corrected."""
        return self.corrected(self(self.preprocessor(raw, serving=True), training=False))

    def corrected(self, logits: Mapping[str, Any]) -> dict[str, Any]:
        """The logits that `call` returned, corrected for the down-sampling of the training split.

        See `Label.negative_rate`. `call` itself, and so `predict` and the training loss, does not correct.
        """
        rates = {label.name: label.logit_correction for label in self.schema.labels}
        return {task: logit + rates[task] if rates[task] else logit for task, logit in logits.items()}

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

    def get_config(self) -> dict[str, Any]:
        config = {"name": self.name, "dtype": self.dtype_policy.name} if LEGACY else super().get_config()
        return {
            **config,
            "schema": self.schema.get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "embedding": self.embedding,
            "tower_units": list(self.tower_units),
            "tower_activation": self.tower_activation,
            "tower_dropout": self.tower_dropout,
            "tower_numbers": self.tower_numbers,
            "linear_terms": self.linear_terms,
            "task_weighting": self.task_weighting,
            "list_loss": self.list_loss,
        }

    def get_build_config(self) -> dict[str, Any]:
        return {}  # the constructor has built it

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Nothing to do: the constructor has built it."""

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> Ranker:
        """Load a `.keras` file that `save` wrote."""
        model = keras.models.load_model(os.fspath(path))
        if not isinstance(model, cls):
            raise ValueError(f"{os.fspath(path)} must hold a Ranker. Received: {type(model).__name__}")
        return model


def _flat(tokens: Mapping[str, Any]) -> Any:
    """Feature tokens of width 1 as `[B, N]`."""
    return ops.squeeze(tokens["features"], axis=-1)


def _binary_losses(labels: Any, logits: Any) -> Any:
    return keras.losses.binary_crossentropy(labels, logits, from_logits=True)


def _in_graph(tensor: Any) -> bool:
    """Whether TensorFlow is tracing: neither eager, nor one of Keras's symbolic tensors."""
    return is_a(tensor, "Tensor") and not hasattr(tensor, "numpy")


def _without_numbers(schema: FeatureSchema) -> tuple[Feature, ...]:
    """The features that are not a number of the dense token."""
    return tuple(feature for feature in schema.features if feature.name not in schema.numbers)


def _logit(mean: float | None) -> float:
    rate = min(max(mean if mean is not None else 0.5, 1e-4), 1 - 1e-4)
    return float(np.log(rate / (1 - rate)))
