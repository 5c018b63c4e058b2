"""The ranking model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tf_interformer import backbones
from tf_interformer._keras import LEGACY, keras, ops, register
from tf_interformer._tensorflow import is_a, tf
from tf_interformer.embedding import TokenEmbedder
from tf_interformer.layers._common import attach, build_sublayer

# Named here to be registered: a saved model may have been compiled with them.
from tf_interformer.metrics import Calibration as Calibration
from tf_interformer.metrics import NormalizedEntropy as NormalizedEntropy
from tf_interformer.ranker._candidates import candidate_columns, check_state, user_columns
from tf_interformer.ranker._head import Head
from tf_interformer.ranker._keras_model import KerasModel, is_evaluating
from tf_interformer.ranker._served import Served
from tf_interformer.ranker._task_losses import TaskLosses
from tf_interformer.schema import FeatureSchema, SchemaError
from tf_interformer.shapes import with_widths
from tf_interformer.tokens import Tokens

if TYPE_CHECKING:
    from tf_interformer.preprocessing import Preprocessor


@register
class Ranker(KerasModel):
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
        super().__init__(**kwargs)
        if not isinstance(schema, FeatureSchema):
            schema = FeatureSchema.from_config(schema)
        schema.require_learned()
        head = Head(
            schema, tower_units, tower_activation, tower_dropout, tower_numbers, linear_terms, self.dtype_policy
        )
        # Set so that Keras, which saves what it tracks, does not track it: its layers are held here, by their names.
        object.__setattr__(self, "head", head)
        object.__setattr__(self, "task_losses", TaskLosses(schema, task_weighting, list_loss))
        object.__setattr__(self, "served", Served(self))
        self.schema = schema
        self.embedding = dict(embedding or {})
        if backbones.is_by_side(backbone, backbone_config):
            self.embedding.setdefault("by_side", True)
        self.tower_units = tuple(tower_units)
        self.tower_activation = tower_activation
        self.tower_dropout = tower_dropout
        self.tower_numbers = tower_numbers
        self.linear_terms = head.linear_terms
        self.task_weighting = task_weighting
        self.list_loss = self.task_losses.list_loss

        self.embedder = TokenEmbedder(schema, **self.embedding, name="embedder", dtype=self.dtype_policy)
        if self.linear_terms:
            self.linear_embedder = head.linear_embedder
            self.linear_maps = head.linear_maps
            for layer in head.linear_layers:
                attach(self, layer.name, layer)
        self.backbone = backbones.for_embedder(self.embedder, backbone, backbone_config, self.dtype_policy)
        self.towers = head.towers
        for tower in head.towers.values():
            attach(self, tower.name, tower)
        if self.task_losses.learned:
            self.log_variances = self.task_losses.add_log_variances(self)
        self._compiled_network = None
        # The schema says every shape, so the weights exist from the start.
        self.build(self.encoded_shapes)

    def build(self, input_shape: Any = None) -> None:
        if getattr(self, "built", False):
            return
        shapes = self.encoded_shapes
        build_sublayer(self.embedder, shapes)
        tokens = self.embedder.compute_output_shape(shapes)
        if not self.backbone.built:  # one that was deserialised is built already
            build_sublayer(self.backbone, tokens)
        representations = self.backbone.compute_output_shape(tokens)
        self.head.build(shapes, tokens, representations)
        self.built = True

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
        tokens = self.tokens(inputs, training)
        network: Any = self._network
        if self._compiled_network is not None and _in_graph(tokens["features"]):
            network = self._compiled_network
        logits: dict[str, Any] = network(tokens, training)
        return self.corrected(logits) if is_evaluating() else logits

    def tokens(self, inputs: Mapping[str, Any], training: bool | None = None) -> Tokens:
        """What is read from the tables for an encoded batch: the backbone's input."""
        inputs = with_widths(inputs, self.encoded_shapes)
        tokens: Tokens = self.embedder(inputs, training=training)
        return {**tokens, **self.head.read(inputs, training)}

    def _network(self, tokens: Tokens, training: bool | None) -> dict[str, Any]:
        """Everything behind the embedding tables."""
        return self.head.logits(self.backbone(tokens, training=training, apart=True), tokens, training)

    def compute_output_shape(self, input_shape: Any = None) -> dict[str, tuple[int | None, int]]:
        return dict.fromkeys(self.schema.tasks, (None, 1))

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
        return self.served.probabilities("logits", raw, self.schema.signature())

    def embed_user(self, user: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """What of R users is the same for all candidates, by name, `[R, ...]`: their state, for a cache.

        It is the backbone's user's side, see `Backbone.user_side`: much of the work in
        `InterFormer(candidate_flow="request")`, the embedded events in a model that shares nothing else. It belongs to
        this model's weights alone.

        Args:
            user: dict of arrays with R rows: the columns that the schema's `candidate` does not name.

        Raises:
            SchemaError: The schema names no candidate features, or nothing but these; a column is missing; or what a
                `match` or `distance` tells of the candidate is within the histories.
        """
        if not self.served.has_state:
            raise SchemaError(
                f"schema {self.schema.name!r} has no state of a user that is the same for all candidates: it must name "
                "some of its features in `candidate`, and with `match` or `distance` the backbone must be "
                'InterFormer(candidate_flow="request"), which keeps these out of the histories'
            )
        raw = user_columns(self.schema, user)
        state = self.served.computed("state", raw, self.served.user_signature)
        return {name: ops.convert_to_numpy(value) for name, value in state.items()}

    def score_candidates(
        self, user: Mapping[str, Any], items: Mapping[str, Any], state: Mapping[str, Any] | None = None
    ) -> dict[str, np.ndarray]:
        """Probability per task `[N]` of N items for one user, as `score` gives them for N rows.

        What does not depend on the item is computed once: the user's and the context's columns, and the part of the
        backbone that sees the sequences alone.

        Args:
            user: dict of arrays with one row: the columns of `FeatureSchema.signature` that the schema's `candidate`
                does not name.
            items: dict of arrays with N rows: the columns that it names.
            state: dict of arrays with one row, what `embed_user` made of this user: it is not computed anew. Defaults
                to `None`.

        Raises:
            SchemaError: The schema names no candidate features, a column is missing, or the rows are not so many; or
                `state` is not that of one user of this model.

        Example:

        >>> schema = FeatureSchema.from_config({
        ...     "features": [{"kind": "categorical", "name": "item", "vocabulary": ["a", "b"]},
        ...                  {"kind": "categorical", "name": "user", "hash_buckets": 10}],
        ...     "labels": [{"name": "click", "mean": 0.1}], "candidate": ["item"]})
        >>> ranker = Ranker(schema, backbone="hiformer", backbone_config={"num_heads": 2}, embedding={"dim": 8})
        >>> ranker.score_candidates({"user": np.array(["u1"])}, {"item": np.array(["a", "b", "new"])})["click"].shape
        (3,)
        """
        raw = candidate_columns(self.schema, user, items)
        signature = self.schema.candidate_signature()
        if state is None:
            return self.served.probabilities("candidate_logits", raw, signature)
        specs = self.served.state_signature
        check_state(state, specs)
        return self.served.probabilities("state_logits", {**raw, **state}, {**signature, **specs})

    def corrected(self, logits: Mapping[str, Any]) -> dict[str, Any]:
        """The logits that `call` returned, corrected for the down-sampling of the training split.

        See `Label.negative_rate`. `call` itself, and so `predict` and the training loss, does not correct.
        """
        rates = {label.name: label.logit_correction for label in self.schema.labels}
        return {task: logit + rates[task] if rates[task] else logit for task, logit in logits.items()}

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

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> Ranker:
        """Load a `.keras` file that `save` wrote."""
        model = keras.models.load_model(os.fspath(path))
        if not isinstance(model, cls):
            raise ValueError(f"{os.fspath(path)} must hold a Ranker. Received: {type(model).__name__}")
        return model


def _in_graph(tensor: Any) -> bool:
    """Whether TensorFlow is tracing: neither eager, nor one of Keras's symbolic tensors."""
    return is_a(tensor, "Tensor") and not hasattr(tensor, "numpy")
