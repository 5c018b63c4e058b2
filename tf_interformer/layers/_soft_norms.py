"""The argument `norm_epsilon`, which goes down from a model to the layers that make the norms."""

from typing import Any

from tf_interformer._keras import keras
from tf_interformer.layers._common import check_factor
from tf_interformer.layers._token_norm import SOFT_EPSILON, TokenNorm


class WithSoftNorms(keras.layers.Layer):
    """Base of the layers that make soft norms, or layers that do.

    Args:
        norm_epsilon: float. What a soft norm adds to the variance, see `TokenNorm`. Defaults to `1.0`.

    Raises:
        ValueError: If `norm_epsilon` is not a positive number.
    """

    def __init__(self, norm_epsilon: float = SOFT_EPSILON, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.norm_epsilon = float(check_factor("norm_epsilon", norm_epsilon))

    def make_norm(self, name: str, soft: bool = True, rms: bool = False) -> TokenNorm:
        """Returns a new norm: a soft one for where tokens enter or residuals join, else one inside a branch."""
        epsilon = self.norm_epsilon if soft else None
        return TokenNorm(rms=rms, soft=soft, epsilon=epsilon, dtype=self.dtype_policy, name=name)

    def norm_arguments(self, kind: type) -> dict[str, float]:
        """Returns what a part of this class takes of `norm_epsilon`: nothing where it has no soft norms."""
        return {"norm_epsilon": self.norm_epsilon} if issubclass(kind, WithSoftNorms) else {}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "norm_epsilon": self.norm_epsilon}
