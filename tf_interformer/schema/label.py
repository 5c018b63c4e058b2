"""What a task predicts."""

import math
from typing import Literal

from pydantic import Field, model_validator

from tf_interformer.schema._model import SchemaModel
from tf_interformer.schema._name import Name


class Label(SchemaModel):
    """A binary label; each label of a schema is one task.

    A training split in which only a share `r` of the negatives was kept teaches `logit(p) - log(r)`, where `p`
    is the probability among all impressions. With `negative_rate=r`, `log(r)` is added to the logits in
    `Ranker.score`, in every evaluation and in an exported model, not in the training loss: the correction
    `p = p' / (p' + (1 - p') / r)`. Validation and test splits hold all negatives.

    Args:
        name: str. Name of the column, which holds 0 or 1.
        weight: float. Weight of the task's loss. Defaults to 1.0.
        mean: float or None. Share of positives, negatives that were dropped counted: the base rate of normalised
            entropy and the start of the served probabilities. Learned when `None`.
        negative_rate: float. Share of the negatives that the training split holds, in (0, 1]. Defaults to 1.0:
            all of them.
        downsample: bool. Whether the log holds all negatives still, and the training pipeline drops the others
            at random: `pipelines` does so, and in a `tf.data` pipeline of your own `downsample_negatives`. With
            `False` the log was down-sampled before. Defaults to `False`.

    Raises:
        SchemaError: An argument is out of range, or `downsample` without a `negative_rate`.

    References:
        - [Practical Lessons from Predicting Clicks on Ads at Facebook, 2014, section 6.3](
          https://doi.org/10.1145/2648584.2648589)

    Example:

    >>> Label("is_click").weight
    1.0
    >>> round(Label("is_click", negative_rate=0.1).logit_correction, 4)
    -2.3026
    """

    kind: Literal["label"] = "label"
    name: Name
    weight: float = Field(default=1.0, ge=0)
    mean: float | None = Field(default=None, ge=0, le=1)
    negative_rate: float = Field(default=1.0, gt=0, le=1)
    downsample: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "Label":
        if self.downsample and self.negative_rate == 1:
            raise ValueError("`downsample` needs a `negative_rate` below 1. Received: 1.0")
        return self

    @property
    def logit_correction(self) -> float:
        """What is added to a learned logit: `log(negative_rate)`."""
        return math.log(self.negative_rate)
