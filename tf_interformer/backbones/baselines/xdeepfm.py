"""Extreme deep factorization machine."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._interaction_only import WithDeepPart, flatten
from tf_interformer.layers._common import Tensor, check_units
from tf_interformer.layers.compressed_interaction import CompressedInteraction
from tf_interformer.layers.linear_terms import LinearTerms


@register
class XDeepFM(WithDeepPart):
    """xDeepFM: linear terms, a compressed interaction network (CIN) and an MLP, side by side.

    `[w_1 . e_1, .., w_N . e_N || CIN(X) || deep(x)]` with `CompressedInteraction` and `x` the flattened tokens, before
    the paper's last sum. Ours: the linear terms, see `LinearTerms`; the pooled sequences.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        cin_units: list of int. Vectors of each CIN layer. Defaults to `(32, 32)`.
        deep_units: list of int. Hidden layers of the MLP; without any there is none. Defaults to `(400, 400)`.
        deep_activation: str or callable. After each of them. Defaults to `"relu"`.
        dropout: float. Rate between them. Defaults to `0.0`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, tokens + sum(cin_units) + deep_units[-1]]}`.

    Raises:
        ValueError: If an argument is out of range or there are fewer than two tokens.

    Example:

    >>> model = XDeepFM(tasks=["click"], cin_units=[4, 4], deep_units=[16])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 29])

    Reference:
        [xDeepFM, arXiv 1803.05170](https://arxiv.org/abs/1803.05170)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        cin_units: Sequence[int] = (32, 32),
        deep_units: Sequence[int] = (400, 400),
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, deep_units=deep_units, **kwargs)
        self.cin_units = check_units("cin_units", cin_units)
        if not self.cin_units:
            raise ValueError(f"`cin_units` must name at least one layer. Received: cin_units={cin_units!r}")

    def build_parts(self, tokens: int, width: int) -> None:
        policy = self.dtype_policy
        self.linear = self.part(LinearTerms(dtype=policy, name="linear"), tokens, width)
        self.cin = self.part(CompressedInteraction(self.cin_units, dtype=policy, name="cin"), tokens, width)
        self.build_deep(tokens * width)

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        return self.beside([self.linear(tokens), self.cin(tokens)], flatten(tokens), training)

    def size(self, tokens: int, width: int) -> int:
        return tokens + sum(self.cin_units) + self.deep_size()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cin_units": list(self.cin_units)}
