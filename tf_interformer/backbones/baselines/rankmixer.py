"""RankMixer and TokenMixer-Large."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.backbones.baselines._interaction_only import InteractionOnly
from tf_interformer.layers._common import Tensor, check_choice, check_positive, check_rate
from tf_interformer.layers._token_norm import TokenNorm
from tf_interformer.layers.feature_tokens import FeatureTokens
from tf_interformer.layers.heterogeneous_feed_forward import HeterogeneousFeedForward
from tf_interformer.layers.token_mixing import TokenMixing

BLOCKS = ("rankmixer", "tokenmixer_large")
# Of TokenMixer-Large's fresh down-projections.
BRANCH_START = 0.01


@register
class RankMixer(InteractionOnly):
    """RankMixer: tokens that exchange slices, then a feed-forward network of each (arXiv 2507.15551).

    `S = LN(Mix(X) + X)`, `X' = LN(FFN_t(S) + S)`, and the mean of the tokens after the last block. With
    `block="tokenmixer_large"` (arXiv 2602.06563) the mixture goes through a network of its own and is then mixed back,
    so that the residual meets its own token: `H = Mix(X)`, `H' = H + SwiGLU_h(RMS(H))`,
    `X' = X + SwiGLU_t(RMS(Mix(H')))`, the first token is made of all features, and a norm comes last.

    Printed: mixing, networks per token, norms, mean. Left out: mixtures of experts, and of TokenMixer-Large residuals
    over several layers and auxiliary losses. Ours: the pooled sequences, groups of neighbouring features (the paper's
    are chosen by hand), and which of the two residuals of TokenMixer-Large has a norm before it.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. Defaults to `2`.
        num_tokens: int. T, see `FeatureTokens`; must divide `dim`. Defaults to `8`.
        dim: int. D, the width of a token. Defaults to `64`.
        ffn_dim: int or `None`. Hidden width of the networks; `None` means four times `dim`. Defaults to `None`.
        block: str. `"rankmixer"` or `"tokenmixer_large"`. Defaults to `"rankmixer"`.
        dropout: float. Rate after each network. Defaults to `0.0`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each feature first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one feature more.
    Output: `{task: [batch, dim]}`.

    Raises:
        ValueError: If an argument is out of range, or `num_tokens` does not divide `dim`.

    Example:

    >>> model = RankMixer(tasks=["click"])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 64])

    Reference:
        [RankMixer, arXiv 2507.15551](https://arxiv.org/abs/2507.15551)
        [TokenMixer-Large, arXiv 2602.06563](https://arxiv.org/abs/2602.06563)
    """

    fewest_tokens = 1

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_layers: int = 2,
        num_tokens: int = 8,
        dim: int = 64,
        ffn_dim: int | None = None,
        block: str = "rankmixer",
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.num_layers = check_positive("num_layers", num_layers)
        self.num_tokens = check_positive("num_tokens", num_tokens, minimum=2)
        self.dim = check_positive("dim", dim)
        if dim % num_tokens:
            raise ValueError(f"`num_tokens` must divide `dim`. Received: num_tokens={num_tokens}, dim={dim}")
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.block = check_choice("block", block, BLOCKS)
        self.dropout = check_rate("dropout", dropout)

    def build_parts(self, tokens: int, width: int) -> None:
        policy, shape = self.dtype_policy, (self.num_tokens, self.dim)
        large = self.block == "tokenmixer_large"
        self.tokens = self.part(FeatureTokens(*shape, global_token=large, dtype=policy, name="tokens"), tokens, width)
        self.mixing = self.part(TokenMixing(dtype=policy, name="mixing"), *shape)
        self.mixed_norms, self.norms, self.mixed_networks, self.networks = [], [], [], []
        for i in range(self.num_layers):
            self.mixed_norms.append(self._norm(f"mixed_norm_{i}", soft=not large))
            self.norms.append(self._norm(f"norm_{i}", soft=not large))
            self.networks.append(self._network(f"network_{i}"))
            if large:
                self.mixed_networks.append(self._network(f"mixed_network_{i}"))
        if large:
            self.output_norm = self._norm("output_norm", soft=True)

    def _norm(self, name: str, soft: bool) -> TokenNorm:
        rms = self.block == "tokenmixer_large"
        norm = self.make_norm(name, soft, rms)
        return self.part(norm, self.num_tokens, self.dim)

    def _network(self, name: str) -> HeterogeneousFeedForward:
        large: dict[str, Any] = {"activation": "swish", "gated": True, "start": BRANCH_START}
        arguments = large if self.block == "tokenmixer_large" else {}
        network = HeterogeneousFeedForward(
            self.ffn_dim, dropout=self.dropout, **arguments, dtype=self.dtype_policy, name=name
        )
        return self.part(network, self.num_tokens, self.dim)

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        x = self.tokens(tokens)
        for i in range(self.num_layers):
            mixed = self.mixing(x)
            if self.block == "rankmixer":
                x = self.mixed_norms[i](mixed + x)
                x = self.norms[i](self.networks[i](x, training=training) + x)
            else:
                mixed = mixed + self.mixed_networks[i](self.mixed_norms[i](mixed), training=training)
                x = x + self.networks[i](self.norms[i](self.mixing(mixed)), training=training)
        if self.block == "tokenmixer_large":
            x = self.output_norm(x)
        return ops.mean(x, axis=1)

    def size(self, tokens: int, width: int) -> int:
        return self.dim

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_tokens": self.num_tokens,
            "dim": self.dim,
            "ffn_dim": self.ffn_dim,
            "block": self.block,
            "dropout": self.dropout,
        }
