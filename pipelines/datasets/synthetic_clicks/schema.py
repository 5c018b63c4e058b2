"""What the columns of `synthetic_clicks` are."""

from collections.abc import Sequence as ListOf

from pipelines.datasets.synthetic_clicks.catalogue import MAX_TAGS
from pipelines.datasets.synthetic_clicks.simulate import LABELS, LIST_COLUMN, MAX_SEARCHED, MAX_VIEWED
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, Sequence

DEFAULT_LABELS = ("is_click",)
PROBABILITY_COLUMNS = {label: f"probability_{label}" for label in LABELS}


def schema(labels: ListOf[str] | None = DEFAULT_LABELS, lists: bool = False) -> FeatureSchema:
    """Returns the schema, not yet learned.

    `user_id` groups impressions for gAUC and is no feature.

    Args:
        labels: list of str or None. The tasks, out of `is_click` and `is_purchase`; `None` for both. Defaults to
            `("is_click",)`.
        lists: bool. Whether items are shown in lists, which `list_id` tells apart. Defaults to `False`.

    Raises:
        SchemaError: If there is no such label.
    """
    both = FeatureSchema(
        name="synthetic_clicks",
        features=(
            Categorical(name="age_band"),
            Categorical(name="region"),
            Categorical(name="membership"),
            Numeric(name="account_age_days", transform="log"),
            Numeric(name="days_since_order", transform="log"),
            Categorical(name="device"),
            Categorical(name="surface"),
            Categorical(name="hour", dtype="int64"),
            Categorical(name="item_id", dtype="int64"),
            Categorical(name="category"),
            Categorical(name="brand"),
            Categorical(name="style"),
            Categorical(name="tags", max_values=MAX_TAGS),
            Numeric(name="price", transform="log"),
            Numeric(name="discount_percent"),
            Numeric(name="rating"),
        ),
        sequences=(
            Sequence(
                name="viewed",
                fields=(
                    Categorical(name="category", table="category"),
                    Categorical(name="reaction"),
                ),
                max_length=MAX_VIEWED,
            ),
            Sequence(
                name="searched", fields=(Categorical(name="category", table="category"),), max_length=MAX_SEARCHED
            ),
        ),
        labels=tuple(Label(name=name) for name in LABELS),
        group="user_id",
        request=LIST_COLUMN if lists else None,
        candidate=("item_id", "category", "brand", "style", "tags", "price", "discount_percent", "rating"),
    )
    return both if labels is None else both.with_labels(*labels)
