"""What a task predicts."""

from typing import Literal

from pydantic import Field

from tf_interformer.schema._model import SchemaModel
from tf_interformer.schema.categorical import Name


class Label(SchemaModel):
    """A binary label; each label of a schema is one task.

    Args:
        name: str. Name of the column, which holds 0 or 1.
        weight: float. Weight of the task's loss. Defaults to 1.0.
        mean: float or None. Share of positives in the training split: the base rate of normalised entropy
            and the start of the tower's bias. Learned when `None`.

    Example:

    >>> Label("is_click").weight
    1.0
    """

    kind: Literal["label"] = "label"
    name: Name
    weight: float = Field(default=1.0, ge=0)
    mean: float | None = Field(default=None, ge=0, le=1)
