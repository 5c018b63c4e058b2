"""What a ranker computes when it is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tf_interformer._keras import keras_backend, ops
from tf_interformer._traced_columns import TracedColumns
from tf_interformer.layers._common import wide
from tf_interformer.schema._name import ROW_COLUMN

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
        representations = ranker.backbone(tokens, training=False)
        logits = ranker.corrected(ranker.head.logits(representations, tokens, training=False))
        return logits, {task: wide(value) for task, value in representations.items()}

    def candidate_logits(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Logit per task `[N, 1]` of N candidates of one user.

        Args:
            raw: dict of tensors, by column, as in `FeatureSchema.candidate_signature`.
        """
        ranker = self._ranker
        encoded = ranker.preprocessor(raw, serving=True)
        first = encoded[next(iter(sorted(ranker.schema.candidate_columns)))]
        encoded[ROW_COLUMN] = ops.zeros((ops.shape(first)[0],), "int32")
        return ranker.corrected(ranker(encoded, training=False))

    def probabilities(self, name: str, raw: Mapping[str, Any], signature: Mapping[str, Any]) -> dict[str, Any]:
        """Probability per task `[B]`, in NumPy, by a method of this class that gives logits.

        Plain columns go through a graph, which is traced at the first call.

        Args:
            name: Of the method.
            raw: dict of arrays, by column.
            signature: dict of `tf.TensorSpec`, the columns it needs.
        """
        method = getattr(self, name)
        computed = method(raw) if keras_backend() != "tensorflow" else self._graph(name, signature)(raw)
        return {task: ops.convert_to_numpy(ops.sigmoid(logit))[:, 0] for task, logit in computed.items()}

    def _graph(self, name: str, signature: Mapping[str, Any]) -> TracedColumns:
        if name not in self._traced:
            method = getattr(self, name)

            def function(raw: Mapping[str, Any]) -> dict[str, Any]:
                with self._ranker.without_xla():  # which would compile for every number of rows
                    made: dict[str, Any] = method(raw)
                    return made

            self._traced[name] = TracedColumns(function, signature)
        return self._traced[name]
