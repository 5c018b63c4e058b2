"""A Transformer over fields."""

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._one_interaction import OneInteraction
from tf_interformer.layers.interactions.transformer import TransformerInteraction


@register
class FieldTransformer(OneInteraction):
    """A Transformer encoder over the tokens, which are then flattened; see `TransformerInteraction`.

    Without positions it treats all fields alike, with them it can tell which is which. Ours: the pooled sequences, and
    that the tokens are flattened.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. Defaults to `2`.
        num_heads: int. Must divide the embedding width. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width of the feed-forward networks; `None` means four times the embedding
            width. Defaults to `None`.
        activation: str or callable. Of the feed-forward networks. Defaults to `"relu"`.
        norm: str. `"post"` or `"pre"`. Defaults to `"post"`.
        positions: bool. Add a learned vector for each position first. Defaults to `False`.
        dropout: float. Rate after each attention and feed-forward network. Defaults to `0.0`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, tokens * dim]}`.

    Raises:
        ValueError: If an argument is out of range, or `num_heads` does not divide the width.

    Example:

    >>> model = FieldTransformer(tasks=["click"])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 40])

    Reference:
        [Attention Is All You Need, arXiv 1706.03762](https://arxiv.org/abs/1706.03762)
    """

    fewest_tokens = 1
    layer_class = TransformerInteraction
    model_defaults = {"num_layers": 2}
