"""MemoNet."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.backbones.base import State
from tf_interformer.backbones.baselines._interaction_only import InteractionOnly, flatten
from tf_interformer.layers._common import Tensor, tokens_shape
from tf_interformer.layers.interactions.hcnet import HCNetInteraction
from tf_interformer.tokens import Tokens


@register
class MemoNet(InteractionOnly):
    """MemoNet: the flattened tokens beside a memory of pairs of ids.

    `[flatten(X) || flatten(HCNet(X))]` with `HCNetInteraction`. Only features have ids, so the pooled sequences stand
    among the tokens, not in the memory. The tower is the paper's deep network. Ours: the pooled sequences, and see
    `HCNetInteraction`.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_hashes, codebook_size, codebook_dim, share_codebook, restoring, hidden_dim: see `HCNetInteraction`.
        fields: list of int or `None`. Features whose pairs are remembered, the paper's key interaction fields; N of
            them cost `num_hashes N (N - 1) / 2` rows per example. `None` for all. Defaults to `None`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]},
        "ids": [batch, N]}`. Each sequence is pooled to one token more, so that there are `tokens = N + sequences`.
    Output: `{task: [batch, (tokens + fields) * dim]}`.

    Raises:
        ValueError: If an argument is out of range, there are no ids, or fewer than two fields.

    Example:

    >>> model = MemoNet(tasks=["click"], codebook_size=1000)
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model({**tokens, "ids": np.ones((3, 5), "int32")})["click"].shape
    TensorShape([3, 80])

    Reference:
        [MemoNet, arXiv 2211.01334](https://arxiv.org/abs/2211.01334)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_hashes: int = 2,
        codebook_size: int = 100_000,
        codebook_dim: int | None = None,
        share_codebook: bool = True,
        restoring: str = "linear",
        hidden_dim: int = 64,
        fields: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.memory = HCNetInteraction(
            num_hashes=num_hashes,
            codebook_size=codebook_size,
            codebook_dim=codebook_dim,
            share_codebook=share_codebook,
            restoring=restoring,
            hidden_dim=hidden_dim,
            dtype=self.dtype_policy,
            name="memory",
        )
        if fields is not None and (len(set(fields)) != len(fields) or len(fields) < 2 or min(fields) < 0):
            raise ValueError(
                f"`fields` must be a list of at least two different features or None. Received: fields={fields!r}"
            )
        self.fields = None if fields is None else tuple(sorted(fields))

    def build(self, input_shape: Any) -> None:
        self._features = tokens_shape(input_shape["features"])[1] or 0
        if self.fields is not None and self.fields[-1] >= self._features:
            raise ValueError(
                f"`fields` must be below the number of features, {self._features}. Received: fields={list(self.fields)}"
            )
        super().build(input_shape)

    def build_parts(self, tokens: int, width: int) -> None:
        self.part(self.memory, len(self.fields or range(self._features)), width)

    def candidate_side(
        self, tokens: Tokens, state: State, row: Tensor | None = None, training: bool | None = None
    ) -> dict[str, Tensor]:
        if "ids" not in tokens:
            raise ValueError('MemoNet remembers pairs of ids: pass "ids": [batch, N]. Received: tokens without ids')
        joined, ids = self.joined(tokens, state, row), tokens["ids"]
        features = joined[:, : self._features]
        if self.fields is not None:
            features = ops.stack([features[:, i] for i in self.fields], axis=1)
            ids = ops.stack([ids[:, i] for i in self.fields], axis=1)
        memory = self.memory({"tokens": features, "ids": ids})
        return self.for_each_task(ops.concatenate([flatten(joined), flatten(memory)], axis=1))

    def representation_size(self, input_shape: Any) -> int:
        _, features, width = tokens_shape(input_shape["features"])
        tokens = (features or 0) + len(input_shape["sequences"])
        return (tokens + len(self.fields or range(features or 0))) * (width or 0)

    def get_config(self) -> dict[str, Any]:
        own = {k: v for k, v in self.memory.get_config().items() if k not in ("name", "dtype", "trainable")}
        return {**super().get_config(), **own, "fields": None if self.fields is None else list(self.fields)}
