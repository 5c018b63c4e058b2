"""HSTU over fields."""

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._one_interaction import OneInteraction
from tf_interformer.layers.interactions.hstu import HSTUInteraction


@register
class FieldHSTU(OneInteraction):
    """HSTU over the tokens, which have no order, and are then flattened; see `HSTUInteraction`.

    HSTU is made for sequences. Over fields it stands in the comparisons of Dual Enhanced Attention, which do not print
    how: its form here, the pooled sequences and that the tokens are flattened are ours.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. Defaults to `2`.
        num_heads: int. Must divide the embedding width. Defaults to `4`.
        dropout: float. Rate before the sum of each layer. Defaults to `0.0`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, tokens * dim]}`.

    Raises:
        ValueError: If an argument is out of range, or `num_heads` does not divide the width.

    Example:

    >>> model = FieldHSTU(tasks=["click"])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 40])

    Reference:
        [HSTU, arXiv 2402.17152](https://arxiv.org/abs/2402.17152)
        [Dual Enhanced Attention, arXiv 2503.11233](https://arxiv.org/abs/2503.11233)
    """

    fewest_tokens = 1
    layer_class = HSTUInteraction
    model_defaults = {"num_layers": 2}
