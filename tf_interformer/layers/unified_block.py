"""A Transformer block over events and feature tokens."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Tensor,
    build_sublayer,
    check_positive,
    check_rate,
    gelu,
    latest_events,
    project,
    read_history,
    sequence_shape,
    softmax,
    tokens_shape,
    valid_positions,
    wide,
)
from tf_interformer.layers._recording import record
from tf_interformer.layers._token_norm import TokenNorm
from tf_interformer.layers.heterogeneous_feed_forward import HeterogeneousFeedForward
from tf_interformer.layers.mlp import MLP
from tf_interformer.layers.multi_head_attention import MASKED, check_heads


@register
class UnifiedBlock(keras.layers.Layer):
    """One causal Transformer block over `[events; features]`, the block of OneTrans and of LONGER.

    `Z = X + MHA(RMS(X))`, `X' = Z + FFN(RMS(Z))`. An event sees itself and older ones and never a feature, so that what
    becomes of the events is the same for all candidates of a user; a feature sees all events and, with
    `causal_features`, itself and the features before it, else all. OneTrans: the events share their projections and
    their network, and every feature token has its own. LONGER: all share. In a pyramid only the latest events are
    queries, and so all that the next block sees. Ours: norms and the last projection of the attention are shared.

    Args:
        num_heads: int. Must divide the width. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width of the networks; `None` means four times the width. Defaults to `None`.
        num_queries: int or `None`. How many of the latest events are queries: `None` for all, 0 for none, as in a last
            block, of which the features alone are read. Defaults to `None`.
        own_weights: bool. Whether each feature token has weights of its own. Defaults to `True`.
        causal_features: bool. Whether a feature sees none behind it. Defaults to `True`.
        dropout: float. Rate after the attention and the networks. Defaults to `0.0`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch], "features": [batch, N, dim]}`.
    Output: the same with `min(num_queries, time)` events; without `num_queries` no more than the features. What stands
    at padded positions has no meaning.

    Raises:
        ValueError: If an argument is out of range or `num_heads` does not divide the width.

    Example:

    >>> after = UnifiedBlock(num_heads=2, num_queries=10)({
    ...     "sequence": np.ones((3, 50, 16), "float32"),
    ...     "lengths": np.array([0, 7, 50]),
    ...     "features": np.ones((3, 4, 16), "float32"),
    ... })
    >>> after["sequence"].shape, after["lengths"].numpy().tolist(), after["features"].shape
    (TensorShape([3, 10, 16]), [0, 7, 10], TensorShape([3, 4, 16]))

    Reference:
        [OneTrans, arXiv 2510.26104](https://arxiv.org/abs/2510.26104)
        [LONGER, arXiv 2505.04421](https://arxiv.org/abs/2505.04421)
    """

    def __init__(
        self,
        num_heads: int = 4,
        ffn_dim: int | None = None,
        num_queries: int | None = None,
        own_weights: bool = True,
        causal_features: bool = True,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = check_positive("num_heads", num_heads)
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.num_queries = None if num_queries is None else check_positive("num_queries", num_queries, minimum=0)
        self.own_weights = own_weights
        self.causal_features = causal_features
        self.dropout = check_rate("dropout", dropout)

    def build(self, input_shape: Any) -> None:
        events, features = sequence_shape(input_shape["sequence"]), tokens_shape(input_shape["features"])
        width, hidden = features[2] or 0, self.ffn_dim or 4 * (features[2] or 0)
        check_heads(width, self.num_heads)
        policy = self.dtype_policy
        self.key_value_kernel = self._kernel("key_value_kernel", (width, 2 * width))
        if self.num_queries != 0 or not self.own_weights:
            self.query_kernel = self._kernel("query_kernel", (width, width))
            self.network = MLP((hidden, width), gelu, dtype=policy, name="network")
            build_sublayer(self.network, events)
        if self.own_weights:
            initializer = keras.initializers.RandomNormal(stddev=width**-0.5)
            self.feature_kernel = self.add_weight(
                name="feature_kernel", shape=(features[1], width, 3 * width), initializer=initializer
            )
            self.feature_network = HeterogeneousFeedForward(hidden, dtype=policy, name="feature_network")
            build_sublayer(self.feature_network, features)
        self.output_kernel = self._kernel("output_kernel", (width, width))
        self.attention_norm = TokenNorm(rms=True, dtype=policy, name="attention_norm")
        self.network_norm = TokenNorm(rms=True, dtype=policy, name="network_norm")
        for norm in (self.attention_norm, self.network_norm):
            build_sublayer(norm, features)
        self.dropout_layer = None
        if self.dropout:
            self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=policy, name="dropout")
            build_sublayer(self.dropout_layer, events)
        super().build(input_shape)

    def _kernel(self, name: str, shape: tuple[int, int]) -> Any:
        return self.add_weight(name=name, shape=shape, initializer="lecun_normal")

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        sequence, lengths = read_history(inputs["sequence"], inputs["lengths"])
        told, after = self.events_side({"sequence": sequence, "lengths": lengths}, training)
        return {**after, "features": self.features_side(inputs["features"], told, training)}

    def events_side(
        self, history: dict[str, Tensor], training: bool | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What the events need no features for.

        Args:
            history: `"sequence"` and `"lengths"`, read.
            training: As in `call`.

        Returns:
            What features ask of them, `"keys"`, `"values"` `[batch, heads, time, dim / heads]` and `"lengths"`; and the
            history after the block, empty where no event is a query.
        """
        sequence, lengths = history["sequence"], history["lengths"]
        keys, values = self._heads(project(self.attention_norm(sequence), self.key_value_kernel), 2)
        told = {"keys": keys, "values": values, "lengths": lengths}
        if self.num_queries == 0:
            return told, {}
        latest, count = sequence, lengths
        if self.num_queries is not None:
            latest, count = latest_events(sequence, lengths, self.num_queries)
        time = ops.shape(sequence)[1]
        places = ops.arange(ops.shape(latest)[1])[None, :] + (lengths - count)[:, None]
        older = ops.arange(time)[None, None, :] <= places[:, :, None]
        queries = self._heads(project(self.attention_norm(latest), self.query_kernel), 1)[0]
        mask = ops.logical_and(older, valid_positions(lengths, time)[:, None])
        x = latest + self._drop(self._attend(queries, keys, values, mask), training)
        x = x + self._drop(self.network(self.network_norm(x)), training)
        return told, {"sequence": x, "lengths": count}

    def features_side(self, features: Tensor, told: dict[str, Tensor], training: bool | None = None) -> Tensor:
        """The features `[batch, N, dim]` after the block, of what `events_side` told."""
        rows, count, time = ops.shape(features)[0], features.shape[1], ops.shape(told["keys"])[2]
        queries, keys, values = self._own(self.attention_norm(features))
        seen = ops.broadcast_to(valid_positions(told["lengths"], time)[:, None], (rows, count, time))
        order = ops.arange(count)
        among = order[None, :] <= (order[:, None] if self.causal_features else count)
        among = ops.broadcast_to(among[None], (rows, count, count))
        attended = self._attend(
            queries,
            ops.concatenate([told["keys"], keys], axis=2),
            ops.concatenate([told["values"], values], axis=2),
            ops.concatenate([seen, among], axis=2),
            recorded=True,
        )
        x = features + self._drop(attended, training)
        network = self.feature_network if self.own_weights else self.network
        return x + self._drop(network(self.network_norm(x)), training)

    def _own(self, features: Tensor) -> list[Tensor]:
        """Queries, keys and values of the features, `[B, H, N, D / H]` each."""
        if self.own_weights:
            kernel = ops.cast(self.feature_kernel, features.dtype)
            made = ops.transpose(ops.matmul(ops.transpose(features, (1, 0, 2)), kernel), (1, 0, 2))
            return self._heads(made, 3)
        queries = self._heads(project(features, self.query_kernel), 1)
        return queries + self._heads(project(features, self.key_value_kernel), 2)

    def _heads(self, projected: Tensor, parts: int) -> list[Tensor]:
        batch, time, width = ops.shape(projected)
        apart = ops.reshape(projected, (batch, time, parts, self.num_heads, width // (parts * self.num_heads)))
        heads: list[Tensor] = ops.unstack(ops.transpose(apart, (2, 0, 3, 1, 4)), parts)
        return heads

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, recorded: bool = False) -> Tensor:
        scores = wide(ops.matmul(queries * queries.shape[-1] ** -0.5, ops.transpose(keys, (0, 1, 3, 2))))
        mask = mask[:, None]
        bias = ops.where(mask, ops.zeros((), scores.dtype), ops.cast(MASKED, scores.dtype))
        weights = ops.cast(softmax(scores + bias) * ops.cast(mask, scores.dtype), values.dtype)
        if recorded:
            record(self, weights)
        attended = ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3))
        batch, count, heads, head = ops.shape(attended)
        return project(ops.reshape(attended, (batch, count, heads * head)), self.output_kernel)

    def _drop(self, x: Tensor, training: bool | None) -> Tensor:
        return x if self.dropout_layer is None else self.dropout_layer(x, training=training)

    def compute_output_shape(self, input_shape: Any) -> dict[str, Any]:
        batch, time, width = sequence_shape(input_shape["sequence"])
        features = {"features": tokens_shape(input_shape["features"])}
        if self.num_queries == 0:
            return features
        if self.num_queries is not None:
            time = self.num_queries if time is None else min(time, self.num_queries)
        return {"sequence": (batch, time, width), "lengths": (batch,), **features}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "num_queries": self.num_queries,
            "own_weights": self.own_weights,
            "causal_features": self.causal_features,
            "dropout": self.dropout,
        }
