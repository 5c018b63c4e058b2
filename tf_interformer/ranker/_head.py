"""What stands behind a backbone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tf_interformer._keras import keras, ops
from tf_interformer._names import safe_name
from tf_interformer.embedding import TokenEmbedder
from tf_interformer.layers._common import build_sublayer, wide
from tf_interformer.layers.mlp import MLP
from tf_interformer.schema import Feature, FeatureSchema
from tf_interformer.schema._parts import SchemaParts
from tf_interformer.tokens import Tokens


class Head:
    """One logit per task: the tower's, of what the backbone returned and the numeric features, and linear terms.

        y = tower([r || numbers]) + linear_terms * (sum_i u_i w_i[id_i] + v x)

    It is no layer: the `Ranker` holds its layers itself, as saved models have them.

    Args:
        schema: `FeatureSchema`. A learned one.
        tower_units, tower_activation, tower_dropout, tower_numbers, linear_terms: As `Ranker` has them.
        dtype: The dtype policy.

    Raises:
        ValueError: `tower_numbers` without numeric features; or `linear_terms` is below 0 or there is no categorical
            feature for it.
    """

    def __init__(
        self,
        schema: FeatureSchema,
        tower_units: Sequence[int],
        tower_activation: str,
        tower_dropout: float,
        tower_numbers: bool,
        linear_terms: float,
        dtype: Any,
    ) -> None:
        if tower_numbers and not schema.numbers:
            raise ValueError("`tower_numbers` needs numeric features: the schema has none")
        if not linear_terms >= 0:
            raise ValueError(f"`linear_terms` must be at least 0. Received: {linear_terms!r}")
        if linear_terms and not _without_numbers(schema):
            raise ValueError("`linear_terms` needs categorical features: the schema has none")
        self.schema = schema
        self.tower_numbers = tower_numbers
        self.linear_terms = float(linear_terms)
        self.dtype = dtype
        self.linear_embedder: Any = None
        self.linear_maps: dict[str, dict[str, Any]] = {}  # by task, by what is read of the tokens
        if self.linear_terms:
            self._create_linear_terms()
        self.towers = {
            label.name: MLP(
                (*tower_units, 1),
                activation=tower_activation,
                dropout=tower_dropout,
                # Starting at the base rate saves the first steps, which would only learn it.
                final_bias_initializer=keras.initializers.Constant(_logit(label.mean) - label.logit_correction),
                name=f"tower_{safe_name(label.name)}",
                dtype=dtype,
            )
            for label in schema.labels
        }

    def _create_linear_terms(self) -> None:
        """Weights of ids are embeddings of width 1, of the features alone; all terms start at 0."""
        kept = _without_numbers(self.schema)
        candidate = tuple(feature.name for feature in kept if feature.name in self.schema.candidate)
        schema = SchemaParts(features=kept, labels=self.schema.labels, candidate=candidate)
        self.linear_embedder = TokenEmbedder(schema, dim=1, stddev=0.0, name="linear_embedder", dtype=self.dtype)
        starts = {"linear": "ones"} | ({"numbers": "zeros"} if self.schema.numbers else {})
        for task in self.schema.tasks:
            self.linear_maps[task] = {
                of: keras.layers.Dense(
                    1, use_bias=False, kernel_initializer=start, name=f"wide_{of}_{safe_name(task)}", dtype=self.dtype
                )
                for of, start in starts.items()
            }

    @property
    def linear_layers(self) -> Iterator[Any]:
        """The linear maps of all tasks."""
        return (layer for maps in self.linear_maps.values() for layer in maps.values())

    def build(self, shapes: Mapping[str, Any], tokens: Tokens, representations: Mapping[str, Any]) -> None:
        """Make the weights.

        Args:
            shapes: Column -> its shape in an encoded batch.
            tokens: Shapes of the tokens.
            representations: Task -> shape of what the backbone returns.
        """
        extra = tokens["numbers"][1] if self.tower_numbers else 0
        for task, tower in self.towers.items():
            batch, size = representations[task]
            build_sublayer(tower, (batch, size + extra))
        if self.linear_embedder is not None:
            build_sublayer(self.linear_embedder, shapes)
            width = self.linear_embedder.compute_output_shape(shapes)["features"][1]
            sizes = {"linear": width, "numbers": len(self.schema.numbers)}
            for maps in self.linear_maps.values():
                for of, layer in maps.items():
                    build_sublayer(layer, (None, sizes[of]))

    def read(self, inputs: Mapping[str, Any], training: bool | None) -> dict[str, Any]:
        """What the linear terms read of an encoded batch, for the tokens: `"linear"` `[N, L]`."""
        if self.linear_embedder is None:
            return {}
        return {"linear": ops.squeeze(self.linear_embedder(inputs, training=training)["features"], axis=-1)}

    def logits(self, representations: Mapping[str, Any], tokens: Tokens, training: bool | None) -> dict[str, Any]:
        """Logit per task `[N, 1]`, float32 or wider.

        Args:
            representations: Task -> `[N, any]`, or what `Backbone.candidate_parts` makes of it.
            tokens: Of which they were made.
            training: As of `call`.
        """
        given: Mapping[str, Any] = tokens
        logits = {}
        for task, tower in self.towers.items():
            x = representations[task]
            if self.tower_numbers:
                own = x["tokens"] if isinstance(x, dict) else x
                own = ops.concatenate([own, given["numbers"]], axis=-1)
                x = {**x, "tokens": own} if isinstance(x, dict) else own
            logits[task] = wide(tower(x, training=training))
            if self.linear_terms:
                terms: list[Any] = [layer(given[of]) for of, layer in self.linear_maps[task].items()]
                logits[task] += wide(self.linear_terms * sum(terms))
        return logits


def _without_numbers(schema: FeatureSchema) -> tuple[Feature, ...]:
    """The features that are not a number of the dense token."""
    return tuple(feature for feature in schema.features if feature.name not in schema.numbers)


def _logit(mean: float | None) -> float:
    rate = min(max(mean if mean is not None else 0.5, 1e-4), 1 - 1e-4)
    return float(np.log(rate / (1 - rate)))
