"""Deep hierarchical ensemble network."""

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._one_interaction import OneInteraction
from tf_interformer.layers.interactions.dhen import DHENInteraction


@register
class DHEN(OneInteraction):
    """DHEN: `X' = LN(Ensemble_i Interaction_i(X) + ShortCut(X))`, layer by layer, then flattened.

    The ensemble is the one of InterFormer's experiments, inner products beside a cross network, see `DHENInteraction`.
    Ours: the pooled sequences.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. Defaults to `2`.
        rank: int or `None`. Rank of the cross network. Defaults to `32`.
        cross_layers: int. Layers of the cross network. Defaults to `1`.
        shortcut: str. `"mlp"` or `"identity"`. Defaults to `"mlp"`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, tokens * dim]}`.

    Raises:
        ValueError: If an argument is out of range or there are fewer than two tokens.

    Example:

    >>> model = DHEN(tasks=["click"])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 40])

    Reference:
        [DHEN, arXiv 2203.11014](https://arxiv.org/abs/2203.11014)
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    layer_class = DHENInteraction
    model_defaults = {"num_layers": 2}
