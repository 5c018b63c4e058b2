"""HyFormer."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.backbones.baselines._interaction_only import flatten
from tf_interformer.backbones.baselines._joined_sequence import JoinedSequence
from tf_interformer.layers._common import (
    Tensor,
    check_choice,
    check_positive,
    check_rate,
    gelu,
    latest_events,
    masked_mean,
)
from tf_interformer.layers.feature_tokens import FeatureTokens
from tf_interformer.layers.gated_feed_forward import GatedFeedForward
from tf_interformer.layers.heterogeneous_feed_forward import HeterogeneousFeedForward
from tf_interformer.layers.mlp import MLP
from tf_interformer.layers.sequences.sequence_attention import SequenceAttention
from tf_interformer.layers.sequences.transformer_block import TransformerBlock
from tf_interformer.layers.token_mixing import TokenMixing

ENCODERS = ("transformer", "recent", "swiglu")


@register
class HyFormer(JoinedSequence):
    """HyFormer: queries made of features ask the histories, then mix with the features, by turns (arXiv 2601.12681).

    `Q_n = FFN_n([F_1 || .. || F_M || mean S])`, each sequence with queries of its own. A layer encodes each sequence,
    `H = Encoder(S)`, decodes it, `Q' = LN(Q + MHA(Q, H, H))`, and boosts the queries: `Z = [Q'; F]`,
    `[Q''; F'] = LN(Z + FFN_t(Mix(Z)))` with `TokenMixing` and a network for each token. The next layer goes on with H.
    The representation is all tokens after the last layer, flattened.

    Printed: queries, the three encoders, decoding, boosting. Ours: that F goes on through the layers, the residual
    around the decoding, the norms, positions, groups of neighbouring features.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. Defaults to `2`.
        num_tokens: int. Queries and feature tokens together, 16 in the paper; must divide `dim`. Defaults to `8`.
        num_queries: int. For each sequence. Defaults to `1`.
        dim: int. Width of all tokens. Defaults to `64`.
        num_heads: int. Must divide `dim`. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width of the networks; `None` means four times `dim`. Defaults to `None`.
        encoder: str. Of the sequences: `"transformer"`; `"recent"`: the latest events ask all, and go on alone;
            `"swiglu"`: each event by itself. Defaults to `"transformer"`.
        num_recent_events: int. Those of `"recent"`. Defaults to `50`.
        max_positions: int. See `SequenceJoin`. Defaults to `128`.
        dropout: float. Rate in the encoders and after each token's network. Defaults to `0.0`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`, with
        at least one sequence. Padding may hold anything, even NaN.
    Output: `{task: [batch, num_tokens * dim]}`.

    Raises:
        ValueError: If an argument is out of range, there is no sequence, or the queries leave no feature token.

    Example:

    >>> model = HyFormer(tasks=["click"])
    >>> model({
    ...     "features": np.ones((3, 5, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 16), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ... })["click"].shape
    TensorShape([3, 512])

    Reference:
        [HyFormer, arXiv 2601.12681](https://arxiv.org/abs/2601.12681)
    """

    apart = True

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_layers: int = 2,
        num_tokens: int = 8,
        num_queries: int = 1,
        dim: int = 64,
        num_heads: int = 4,
        ffn_dim: int | None = None,
        encoder: str = "transformer",
        num_recent_events: int = 50,
        max_positions: int = 128,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, max_positions=max_positions, **kwargs)
        self.num_layers = check_positive("num_layers", num_layers)
        self.num_tokens = check_positive("num_tokens", num_tokens, minimum=2)
        self.num_queries = check_positive("num_queries", num_queries)
        self.dim = check_positive("dim", dim)
        if dim % num_tokens:
            raise ValueError(f"`num_tokens` must divide `dim`. Received: num_tokens={num_tokens}, dim={dim}")
        self.num_heads = check_positive("num_heads", num_heads)
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.encoder = check_choice("encoder", encoder, ENCODERS)
        self.num_recent_events = check_positive("num_recent_events", num_recent_events)
        self.dropout = check_rate("dropout", dropout)

    def event_width(self, width: int) -> int:
        return self.dim

    def build_parts(self, features: Any, histories: list[dict[str, Any]]) -> None:
        batch, policy = features[0], self.dtype_policy
        queries = self.num_queries * len(histories)
        if queries >= self.num_tokens:
            raise ValueError(
                "`num_tokens` must leave a token for the features beside the queries of each sequence. "
                f"Received: num_tokens={self.num_tokens}, num_queries={self.num_queries}, {len(histories)} sequences"
            )
        feature_tokens = FeatureTokens(self.num_tokens - queries, self.dim, dtype=policy, name="tokens")
        self.tokens = self.part(feature_tokens, features)
        hidden, tokens = self.ffn_dim or 4 * self.dim, (batch, self.num_tokens, self.dim)
        known = (batch, (self.num_tokens - queries + 1) * self.dim)
        self.query_networks = [
            self.part(MLP((self.dim, self.dim), gelu, dtype=policy, name=f"query_{i}"), known) for i in range(queries)
        ]
        self.mixing = self.part(TokenMixing(dtype=policy, name="mixing"), tokens)
        # Of layer i and sequence j that of number `i * sequences + j`.
        self.encoders, self.decoders, self.decoded_norms, self.networks, self.norms = [], [], [], [], []
        for i in range(self.num_layers):
            for j, history in enumerate(histories):
                asked = {**history, "query": (batch, self.num_queries, self.dim)}
                self.encoders.append(self._encoder(f"encoder_{i}_{j}", hidden, history))
                decoder = SequenceAttention(self.num_heads, dtype=policy, name=f"decoder_{i}_{j}")
                self.decoders.append(self.part(decoder, asked))
                norm = self.make_norm(f"decoded_norm_{i}_{j}")
                self.decoded_norms.append(self.part(norm, asked["query"]))
            network = HeterogeneousFeedForward(hidden, dropout=self.dropout, dtype=policy, name=f"network_{i}")
            self.networks.append(self.part(network, tokens))
            self.norms.append(self.part(self.make_norm(f"norm_{i}"), tokens))

    def _encoder(self, name: str, hidden: int, history: dict[str, Any]) -> Any:
        if self.encoder == "swiglu":
            network = GatedFeedForward(hidden, dropout=self.dropout, dtype=self.dtype_policy, name=name)
            return self.part(network, history["sequence"])
        block = TransformerBlock(
            self.num_heads,
            hidden,
            gelu,
            dropout=self.dropout,
            norm_epsilon=self.norm_epsilon,
            dtype=self.dtype_policy,
            name=name,
        )
        asked = {"query": history["sequence"]} if self.encoder == "recent" else {}
        return self.part(block, {**history, **asked})

    def _encode(self, encoder: Any, history: dict[str, Tensor], training: bool | None) -> dict[str, Tensor]:
        events, lengths = history["sequence"], history["lengths"]
        if self.encoder == "swiglu":
            return {"sequence": events + encoder(events, training=training), "lengths": lengths}
        if self.encoder == "transformer":
            return {"sequence": encoder(history, training=training), "lengths": lengths}
        latest, count = latest_events(events, lengths, self.num_recent_events)
        return {"sequence": encoder({**history, "query": latest}, training=training), "lengths": count}

    def interact(self, features: Tensor, histories: list[dict[str, Tensor]], training: bool | None) -> Tensor:
        x, each = self.tokens(features), self.num_queries
        queries = []
        for j, history in enumerate(histories):
            mean = masked_mean(history["sequence"], history["lengths"])
            known = ops.concatenate([flatten(x), mean], axis=1)
            made = [network(known) for network in self.query_networks[j * each : (j + 1) * each]]
            queries.append(ops.stack(made, axis=1))
        for i in range(self.num_layers):
            for j in range(len(histories)):
                at = i * len(histories) + j
                histories = [*histories]
                histories[j] = self._encode(self.encoders[at], histories[j], training)
                answer = self.decoders[at]({**histories[j], "query": queries[j]})
                queries[j] = self.decoded_norms[at](queries[j] + answer)
            x = ops.concatenate([*queries, x], axis=1)
            x = self.norms[i](x + self.networks[i](self.mixing(x), training=training))
            if i + 1 < self.num_layers:
                *queries, x = ops.split(x, [each * (j + 1) for j in range(len(histories))], axis=1)
        return flatten(x)

    def size(self, tokens: int, width: int) -> int:
        return self.num_tokens * self.dim

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_tokens": self.num_tokens,
            "num_queries": self.num_queries,
            "dim": self.dim,
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "encoder": self.encoder,
            "num_recent_events": self.num_recent_events,
            "dropout": self.dropout,
        }
