"""Deep hierarchical ensemble network of interactions."""

from typing import Any

import numpy as np

from tf_interformer._keras import ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_choice,
    check_positive,
)
from tf_interformer.layers._shared_tokens import SharedTokens, shared_shapes
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.interactions.cross import CrossInteraction
from tf_interformer.layers.interactions.dot import DotInteraction
from tf_interformer.layers.linear_compression import LinearCompression, mix
from tf_interformer.layers.mlp import MLP


@register
class DHENInteraction(WithSoftNorms):
    """DHEN with the ensemble of InterFormer's experiments: inner products beside a low-rank cross network.

    `X' = LN(Ensemble_i Interaction_i(X) + ShortCut(X))`, layer by layer. The ensemble lays the tokens of the two
    modules side by side and compresses them linearly to the number of tokens (LCE). The shortcut is, as InterFormer
    calls it, an MLP: one dense layer on the embedding axis. The norm is the one that the equation has.

    Args:
        num_layers: int. The experiments use 1 to 3. Defaults to `1`.
        rank: int or `None`. Rank of the cross network. Defaults to `32`.
        cross_layers: int. Layers of the cross network. Defaults to `1`.
        shortcut: str. `"mlp"` or `"identity"`. Defaults to `"mlp"`.
        norm_epsilon: float. What the norms add to the variance, see `Backbone`. Defaults to `1.0`.

    Input shape: `[batch, tokens, dim]` with at least two tokens, or a list of tensors `[batch, dim]`; or, where many
        examples share some tokens, a dict as of the two modules.
    Output shape: `[batch, tokens, dim]`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> DHENInteraction(num_layers=2)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [DHEN, arXiv 2203.11014](https://arxiv.org/abs/2203.11014)
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    takes_shared = True

    def __init__(
        self,
        num_layers: int = 1,
        rank: int | None = 32,
        cross_layers: int = 1,
        shortcut: str = "mlp",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_layers = check_positive("num_layers", num_layers)
        self.rank = None if rank is None else check_positive("rank", rank)
        self.cross_layers = check_positive("cross_layers", cross_layers)
        self.shortcut = check_choice("shortcut", shortcut, ("mlp", "identity"))

    def build(self, input_shape: Any) -> None:
        shape, _ = shared_shapes(input_shape)
        _, tokens, width = shape
        tokens, width = tokens or 0, width or 0
        policy = self.dtype_policy
        self.dots, self.crosses, self.ensembles, self.shortcuts, self.norms = [], [], [], [], []
        for i in range(self.num_layers):
            self.dots.append(DotInteraction(dtype=policy, name=f"dot_{i}"))
            self.crosses.append(CrossInteraction(self.cross_layers, self.rank, dtype=policy, name=f"cross_{i}"))
            self.ensembles.append(LinearCompression(tokens, dtype=policy, name=f"ensemble_{i}"))
            self.norms.append(self.make_norm(f"norm_{i}"))
            for layer in (self.dots[i], self.crosses[i]):
                build_sublayer(layer, input_shape if i == 0 else shape)
            build_sublayer(self.norms[i], shape)
            build_sublayer(self.ensembles[i], (shape[0], 2 * tokens, width))
            if self.shortcut == "mlp":
                self.shortcuts.append(MLP((width,), dtype=policy, name=f"shortcut_{i}"))
                build_sublayer(self.shortcuts[i], shape)
        super().build(input_shape)

    def call(self, inputs: Any) -> Tensor:
        given = SharedTokens.of(inputs)
        x = given.own
        for i in range(self.num_layers):
            if i == 0 and given.shared is not None:
                mixed = self._mixed(given)
            else:
                modules = ops.concatenate([self.dots[i](x), self.crosses[i](x)], axis=1)
                mixed = self.ensembles[i](modules) + self._short(i, x)
            x = self.norms[i](mixed)
        return x

    def _short(self, i: int, tokens: Tensor) -> Tensor:
        return self.shortcuts[i](tokens) if self.shortcut == "mlp" else tokens

    def _mixed(self, given: SharedTokens) -> Tensor:
        """Ensemble and shortcut of the first layer; what of them is of shared tokens alone is made once and added."""
        own, once = self.dots[0].parts(given)
        count = given.own.shape[1]
        tokens = own.shape[1]
        kernel = ops.cast(self.ensembles[0].kernel, own.dtype)
        # The shortcut of the own tokens is mixed in as it is.
        short = ops.concatenate([kernel, ops.convert_to_tensor(np.eye(count, tokens), dtype=own.dtype)], axis=0)
        modules = ops.concatenate([own, *self.crosses[0].parts(given), self._short(0, given.own)], axis=1)
        passed = ops.pad(self._short(0, given.shared), ((0, 0), (count, 0), (0, 0)))
        return mix(modules, short) + given.broadcast(mix(once, kernel[:tokens]) + passed)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return shared_shapes(input_shape)[0]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "rank": self.rank,
            "cross_layers": self.cross_layers,
            "shortcut": self.shortcut,
        }
