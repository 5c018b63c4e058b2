"""What a ranker computes when it is served."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tf_interformer._keras import keras_backend, ops
from tf_interformer._names import safe_name
from tf_interformer._tensorflow import tf
from tf_interformer._traced_columns import TracedColumns
from tf_interformer.layers._common import wide
from tf_interformer.layers._shared_tokens import SharedTokens
from tf_interformer.schema._name import ROW_COLUMN, STATE_PREFIX

if TYPE_CHECKING:
    from tf_interformer.ranker.ranker import Ranker


class Served:
    """A ranker as it is served: it takes raw columns, puts `serve_as` in, and corrects logits for down-sampling.

    Signatures of exported models are made of these methods, and so are `Ranker.score` and `score_candidates`.

    Args:
        ranker: `Ranker`.
    """

    def __init__(self, ranker: Ranker) -> None:
        self._ranker = ranker
        self._traced: dict[str, TracedColumns] = {}

    def logits(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Logit per task `[B, 1]` of a raw batch."""
        ranker = self._ranker
        return ranker.corrected(ranker(ranker.preprocessor(raw, serving=True), training=False))

    def outputs(self, raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Of a raw batch `logits`, and per task what the backbone returns, float32 or wider."""
        ranker = self._ranker
        tokens = ranker.tokens(ranker.preprocessor(raw, serving=True), training=False)
        representations = ranker.backbone(tokens, training=False, apart=True)
        logits = ranker.corrected(ranker.head.logits(representations, tokens, training=False))
        return logits, {task: wide(SharedTokens.of(value).together()) for task, value in representations.items()}

    def candidate_logits(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Logit per task `[N, 1]` of N candidates of one user.

        Args:
            raw: dict of tensors, by column, as in `FeatureSchema.candidate_signature`.
        """
        return self._ranker.corrected(self._ranker(self._request(raw), training=False))

    def _request(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """The encoded batch of one request."""
        encoded: dict[str, Any] = self._ranker.preprocessor(raw, serving=True)
        first = encoded[min(self._ranker.schema.candidate_columns)]
        encoded[ROW_COLUMN] = ops.zeros((ops.shape(first)[0],), "int32")
        return encoded

    @property
    def has_state(self) -> bool:
        """Whether there is a user's state, the same for all candidates: nothing of theirs is in the histories."""
        schema = self._ranker.schema
        users = any(column.side == "user" for column in schema.served_columns)
        return bool(schema.candidate) and users and (not schema.comparisons or self._ranker.embedder.by_side)

    def state(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """What of R users is the same for all candidates, by name, `[R, ...]`: what `state_logits` takes.

        Args:
            raw: dict of tensors, by column: those of the user.
        """
        ranker = self._ranker
        served = ranker.schema.served_columns
        rows = tf.shape(raw[next(column.name for column in served if column.side == "user")])[0]
        # The user's side reads nothing of them, so that a graph of it does not even hold them.
        nobody = {
            column.name: tf.fill(
                [rows, *(size or 1 for size in column.shape[1:])], tf.constant(column.missing, column.dtype)
            )
            for column in served
            if column.side == "candidate"
        }
        encoded = ranker.preprocessor({**raw, **nobody, ROW_COLUMN: tf.range(rows)}, serving=True)
        state = ranker.backbone.user_side(ranker.tokens(encoded), training=False)
        return {f"{STATE_PREFIX}{name}": value for name, value in state.items()}

    @cached_property
    def user_signature(self) -> dict[str, tf.TensorSpec]:
        """What `state` takes: the columns of `FeatureSchema.signature` that are the user's."""
        theirs = {column.name for column in self._ranker.schema.served_columns if column.side == "user"}
        return {name: spec for name, spec in self._ranker.schema.signature().items() if name in theirs}

    @cached_property
    def state_signature(self) -> dict[str, tf.TensorSpec]:
        """What `state` gives for one user, as tensor specs by name."""
        traced = tf.function(self.state, input_signature=[self.user_signature], autograph=False)
        outputs = traced.get_concrete_function().structured_outputs
        return {
            name: tf.TensorSpec([1, *value.shape[1:]], value.dtype, safe_name(name)) for name, value in outputs.items()
        }

    def state_logits(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """`candidate_logits` of a user whose state is known.

        Args:
            raw: dict of tensors: the columns as in `candidate_logits`, and the state, one row of it.
        """
        ranker = self._ranker
        tokens = ranker.tokens(self._request(raw))
        state = {name.removeprefix(STATE_PREFIX): value for name, value in raw.items() if name.startswith(STATE_PREFIX)}
        representations = ranker.backbone.candidate_parts(tokens, state, tokens["row"], training=False)
        return ranker.corrected(ranker.head.logits(representations, tokens, training=False))

    def probabilities(self, name: str, raw: Mapping[str, Any], signature: Mapping[str, Any]) -> dict[str, Any]:
        """Probability per task `[B]`, in NumPy, by a method of this class that gives logits.

        Plain columns go through a graph, which is traced at the first call.

        Args:
            name: Of the method.
            raw: dict of arrays, by column.
            signature: dict of `tf.TensorSpec`, the columns it needs.
        """
        computed = self.computed(name, raw, signature)
        return {task: ops.convert_to_numpy(ops.sigmoid(logit))[:, 0] for task, logit in computed.items()}

    def computed(self, name: str, raw: Mapping[str, Any], signature: Mapping[str, Any]) -> dict[str, Any]:
        """What a method gives, likewise."""
        made: dict[str, Any] = (
            getattr(self, name)(raw) if keras_backend() != "tensorflow" else self._graph(name, signature)(raw)
        )
        return made

    def _graph(self, name: str, signature: Mapping[str, Any]) -> TracedColumns:
        if name not in self._traced:
            method = getattr(self, name)

            def function(raw: Mapping[str, Any]) -> dict[str, Any]:
                with self._ranker.without_xla():  # which would compile for every number of rows
                    made: dict[str, Any] = method(raw)
                    return made

            self._traced[name] = TracedColumns(function, signature)
        return self._traced[name]
