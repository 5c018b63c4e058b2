"""All features as a chosen number of tokens of a chosen width."""

from itertools import pairwise
from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    check_choice,
    check_positive,
    project,
    stack_tokens,
    tokens_shape,
)

TOKENIZERS = ("groups", "joint")


@register
class FeatureTokens(keras.layers.Layer):
    """All features as T tokens of width D: what models need whose tokens are not one for each feature.

    `"groups"` is RankMixer's: the features are laid end to end and cut in T parts of equal width, and each part has a
    projection of its own, `x_t = e_t W_t + b_t`. `"joint"` is OneTrans's: `split(e W + b)`, so that each token is
    made of all features. Ours: parts that are not of equal width differ by one number and are filled up with zeros;
    features of one group are those that stand beside each other; no hidden layer.

    Args:
        num_tokens: int. T; at most the width of all features together. Defaults to `8`.
        dim: int or `None`. D; `None` means the width of the features. Defaults to `None`.
        tokenizer: str. `"groups"` or `"joint"`. Defaults to `"groups"`.
        global_token: bool. The first token is made of all features, the others of groups, as TokenMixer-Large has it.
            Defaults to `False`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`. Output shape: `[batch, num_tokens, dim]`.

    Raises:
        ValueError: If an argument is out of range, there is a global token without groups, or there are fewer numbers
            than tokens.

    Example:

    >>> FeatureTokens(num_tokens=4, dim=32)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 4, 32])

    Reference:
        [RankMixer, arXiv 2507.15551](https://arxiv.org/abs/2507.15551)
        [OneTrans, arXiv 2510.26104](https://arxiv.org/abs/2510.26104)
    """

    def __init__(
        self,
        num_tokens: int = 8,
        dim: int | None = None,
        tokenizer: str = "groups",
        global_token: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_tokens = check_positive("num_tokens", num_tokens, minimum=2 if global_token else 1)
        self.dim = None if dim is None else check_positive("dim", dim)
        self.tokenizer = check_choice("tokenizer", tokenizer, TOKENIZERS)
        self.global_token = global_token
        if global_token and tokenizer != "groups":
            raise ValueError(
                '`global_token` needs tokenizer="groups", of whose tokens none else sees all features. '
                f"Received: tokenizer={tokenizer!r}"
            )

    def build(self, input_shape: Any) -> None:
        _, tokens, width = tokens_shape(input_shape)
        total, dim = (tokens or 0) * (width or 0), self.dim or width or 0
        groups = self.num_tokens - self.global_token
        if total < groups:
            raise ValueError(
                "`num_tokens` must be at most the width of all features together. "
                f"Received: num_tokens={self.num_tokens}, {tokens} features of width {width}"
            )
        if self.tokenizer == "groups":
            # Not "lecun_normal", which would count the groups as inputs.
            part = -(-total // groups)
            initializer = keras.initializers.RandomNormal(stddev=part**-0.5)
            self.kernel = self.add_weight(name="kernel", shape=(groups, part, dim), initializer=initializer)
            if self.global_token:
                self.global_kernel = self.add_weight(
                    name="global_kernel", shape=(total, dim), initializer="lecun_normal"
                )
        else:
            self.kernel = self.add_weight(
                name="kernel", shape=(total, self.num_tokens * dim), initializer="lecun_normal"
            )
        self.bias = self.add_weight(name="bias", shape=(self.num_tokens, dim), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        x = stack_tokens(inputs)
        x = ops.reshape(x, (-1, x.shape[1] * x.shape[2]))
        if self.tokenizer == "joint":
            tokens = ops.reshape(project(x, self.kernel), (-1, *self.bias.shape))
        else:
            tokens = ops.transpose(ops.matmul(self._parts(x), self.kernel), (1, 0, 2))
            if self.global_token:
                tokens = ops.concatenate([project(x, self.global_kernel)[:, None], tokens], axis=1)
        return tokens + ops.cast(self.bias, x.dtype)

    def _parts(self, x: Tensor) -> Tensor:
        """The features cut into groups, `[groups, batch, part]`."""
        groups, part, _ = self.kernel.shape
        total = x.shape[1]
        if total == groups * part:
            return ops.transpose(ops.reshape(x, (-1, groups, part)), (1, 0, 2))
        cuts = [i * total // groups for i in range(groups + 1)]
        parts = [x[:, start:end] for start, end in pairwise(cuts)]
        return ops.stack([ops.pad(p, ((0, 0), (0, part - p.shape[1]))) for p in parts], axis=0)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, _, width = tokens_shape(input_shape)
        return batch, self.num_tokens, self.dim or width

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_tokens": self.num_tokens,
            "dim": self.dim,
            "tokenizer": self.tokenizer,
            "global_token": self.global_token,
        }
