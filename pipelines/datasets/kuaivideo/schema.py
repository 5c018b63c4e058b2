"""The features of KuaiVideo_x1, declared."""

from __future__ import annotations

from collections.abc import Iterable

from tf_interformer.schema import Categorical, FeatureSchema, Label, Sequence, Vector

LABELS = ("is_click", "is_like", "is_follow")
MAX_LENGTH = 100
MIN_COUNT = 10
VISUAL_DIM = 64
# Sequence -> its column in the files.
HISTORIES = {"clicked": "pos_items", "skipped": "neg_items"}


def schema(labels: Iterable[str] | None = ("is_click",)) -> FeatureSchema:
    """Returns the schema of the examples that `KuaiVideo` writes.

    Args:
        labels: iterable of str or None. The tasks, of `"is_click"`, `"is_like"` and `"is_follow"`; all of them when
            `None`. Defaults to `("is_click",)`.

    Raises:
        SchemaError: If there is no such label.
    """
    event = Categorical(name="item_id", dtype="int64", table="item_id")
    made = FeatureSchema(
        name="kuaivideo",
        features=(
            Categorical(name="user_id", dtype="int64", min_count=MIN_COUNT),
            Categorical(name="item_id", dtype="int64", min_count=MIN_COUNT),
            Vector(name="item_visual", dim=VISUAL_DIM, normalize=False),
        ),
        sequences=tuple(Sequence(name=name, fields=(event,), max_length=MAX_LENGTH) for name in HISTORIES),
        labels=tuple(Label(name=label) for label in LABELS),
        group="user_id",
        candidate=("item_id", "item_visual"),
    )
    return made if labels is None else made.with_labels(*labels)
