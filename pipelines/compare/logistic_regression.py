"""Logistic regression as a backbone."""

from typing import Any

from tf_interformer._keras import keras, register
from tf_interformer.backbones.baselines._interaction_only import InteractionOnly, flatten
from tf_interformer.layers._common import Tensor


@register
class LogisticRegression(InteractionOnly):
    """Hands its tokens on as they are.

    With embeddings of width 1 and a tower without hidden units, a Ranker is then logistic regression: one weight per
    id and per number, and for a history the mean of its events' weights.
    """

    fewest_tokens = 1

    def build_parts(self, tokens: int, width: int) -> None:
        pass

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        return flatten(tokens)

    def size(self, tokens: int, width: int) -> int:
        return tokens * width


def linear_backbone(tasks: Any) -> dict[str, Any]:
    """The Keras config of `LogisticRegression`, as a Ranker takes it."""
    config: dict[str, Any] = keras.saving.serialize_keras_object(LogisticRegression(tasks=tasks, name="backbone"))
    return config
