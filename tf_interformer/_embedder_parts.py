"""What a `TokenEmbedder` is made of."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_interformer._fused_tables import FusedTables
from tf_interformer._keras import keras
from tf_interformer._names import safe_name
from tf_interformer.layers._common import attach, build_sublayer, check_choice, check_rate, check_ratio
from tf_interformer.layers._lookup import NO_AUTOCAST
from tf_interformer.layers.mlp import MLP
from tf_interformer.schema import FeatureSchema
from tf_interformer.schema._parts import SchemaParts


class EmbedderParts(keras.layers.Layer):
    """The arguments, tables and maps of the `TokenEmbedder`, which says how they are used."""

    def __init__(
        self,
        schema: SchemaParts | Mapping[str, Any],
        dim: int = 16,
        dense_tokens: int = 1,
        dense_units: Sequence[int] = (),
        stddev: float = 0.05,
        dense_stddev: float | None = None,
        l2: float = 0.0,
        dropout: float = 0.0,
        unknown: float = 0.0,
        table_dtype: str = "float32",
        by_side: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(schema, SchemaParts):
            schema = FeatureSchema.from_config(schema)
        schema.require_learned()
        for name, value in {"dim": dim, "dense_tokens": dense_tokens}.items():
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
        self.schema = schema
        self.dim = dim
        self.dense_tokens = dense_tokens
        self.dense_units = tuple(dense_units)
        self.stddev = stddev
        self.dense_stddev = check_ratio("dense_stddev", dense_stddev)
        self.l2 = l2
        self.dropout = dropout
        self.unknown = check_rate("unknown", unknown)
        self.table_dtype = check_choice("table_dtype", table_dtype, ("float32", "bfloat16", "float16"))
        if by_side and not schema.candidate:
            raise ValueError("`by_side` needs a schema that names the candidate's features: `candidate=(...)`")
        self.by_side = by_side
        self._encoded = schema.encoded_columns
        self._token_columns = tuple(column for column in self._encoded if column.goes == "token")
        # By the attribute that holds the map: the numbers that it makes dense tokens of.
        self._numbers = {"dense": schema.numbers}
        if by_side:
            theirs = schema.candidate_columns
            self._numbers = {
                "dense_user": tuple(name for name in schema.numbers if name not in theirs),
                "dense_candidate": tuple(name for name in schema.numbers if name in theirs),
            }
        self._numbers = {name: numbers for name, numbers in self._numbers.items() if numbers}
        self._layout = FusedTables(self._encoded, dim)

    @property
    def _stored_dtype(self) -> str:
        # "float32" is the variables' own type, which is wider under a policy of float64.
        return self.variable_dtype if self.table_dtype == "float32" else self.table_dtype

    def build(self, input_shape: Any = None) -> None:
        # By name: TensorFlow tracks only dicts whose keys are strings.
        self._tables = {
            str(width): self.add_weight(
                name=f"table_{width}",
                shape=(rows, width),
                initializer=keras.initializers.RandomNormal(stddev=self.stddev),
                trainable=True,
                dtype=self._stored_dtype,
                **NO_AUTOCAST,
            )
            for width, rows in self._layout.rows.items()
        }
        # Tables of another width are projected to the model's width, once for all their columns.
        self._projections = {}
        for width in self._layout.rows:
            if width != self.dim:
                self._projections[str(width)] = self._linear_map(f"project_{width}", (None, None, width))
        self.dense = None
        for name, numbers in self._numbers.items():
            made = self._number_map(name.replace("dense", "dense_token"), self.dense_tokens, (None, len(numbers)))
            setattr(self, name, made)
        self._event_maps = {}
        for sequence in self.schema.sequences:
            if sequence.number_columns:
                shape = (None, None, len(sequence.number_columns))
                numbers = self._number_map(f"numbers_{safe_name(sequence.name)}", 1, shape)
                attach(self, numbers.name, numbers)
                self._event_maps[sequence.name] = numbers
        self._vector_maps = {}
        for column in self._token_columns:
            if not column.is_id:
                # A unit vector then starts as a token of about the scale of the embeddings.
                start = keras.initializers.RandomNormal(stddev=self.stddev)
                made = self._linear_map(f"vector_{safe_name(column.name)}", column.shape, start)
                self._vector_maps[column.name] = made
        self.forget = keras.layers.Dropout(self.unknown, dtype="float32", name="forget") if self.unknown else None
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy) if self.dropout else None
        super().build(input_shape)

    def _linear_map(self, name: str, input_shape: tuple[int | None, ...], start: Any = "glorot_uniform") -> Any:
        made = keras.layers.Dense(
            self.dim, use_bias=False, kernel_initializer=start, name=name, dtype=self.dtype_policy
        )
        build_sublayer(made, input_shape)
        attach(self, name, made)
        return made

    def _number_map(self, name: str, tokens: int, input_shape: tuple[None, int] | tuple[None, None, int]) -> Any:
        """What makes so many tokens, side by side, of all numbers of an example or of an event."""
        start = None
        if self.dense_stddev is not None:
            fan_in = (input_shape[-1], *self.dense_units)[-1]
            start = keras.initializers.RandomNormal(stddev=self.dense_stddev / fan_in**0.5)
        units = (*self.dense_units, tokens * self.dim)
        made = MLP(units, activation="relu", final_kernel_initializer=start, name=name, dtype=self.dtype_policy)
        build_sublayer(made, input_shape)
        return made

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "schema": self.schema.get_config(),
            "dim": self.dim,
            "dense_tokens": self.dense_tokens,
            "dense_units": list(self.dense_units),
            "stddev": self.stddev,
            "dense_stddev": self.dense_stddev,
            "l2": self.l2,
            "dropout": self.dropout,
            "unknown": self.unknown,
            "table_dtype": self.table_dtype,
            "by_side": self.by_side,
        }
