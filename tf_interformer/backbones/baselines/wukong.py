"""Wukong."""

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._one_interaction import OneInteraction
from tf_interformer.layers.interactions.wukong import WukongInteraction


@register
class Wukong(OneInteraction):
    """Wukong: `X' = LN([FMB(X) || LCB(X)] + X)`, layer by layer, then flattened; see `WukongInteraction`.

    Ours: the pooled sequences, and see `WukongInteraction`.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. Defaults to `3`.
        fm_tokens: int or `None`. Tokens out of each factorization machine block; `None` means half of all tokens.
            Defaults to `None`.
        linear_tokens: int or `None`. Tokens out of each linear compression; `None` means the rest of all tokens.
            Defaults to `None`.
        rank: int. Of the products in the factorization machine blocks. Defaults to `8`.
        units: list of int. Hidden layers of each factorization machine block's MLP. Defaults to `(128,)`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, (fm_tokens + linear_tokens) * dim]}`.

    Raises:
        ValueError: If an argument is out of range, or leaves no token for one of the blocks.

    Example:

    >>> model = Wukong(tasks=["click"])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 40])

    Reference:
        [Wukong, arXiv 2403.02545](https://arxiv.org/abs/2403.02545)
    """

    layer_class = WukongInteraction
    model_defaults = {"num_layers": 3}
