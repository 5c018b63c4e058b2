"""The features of Globo.com, declared."""

from __future__ import annotations

from collections.abc import Iterable

from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, Sequence

MAX_LENGTH = 50
# Feature -> its column in the published log.
CONTEXT = {
    "environment": "click_environment",
    "device_group": "click_deviceGroup",
    "os": "click_os",
    "country": "click_country",
    "region": "click_region",
    "referrer_type": "click_referrer_type",
}


def schema(labels: Iterable[str] | None = None) -> FeatureSchema:
    """Returns the schema of the examples that `Globo` writes.

    Metrics go by user and by request: one clicked article among those that were not. The user is no feature; half of
    them click four times or less.

    Args:
        labels: iterable of str or None. There is one, `"is_click"`. Defaults to `None`.

    Raises:
        SchemaError: If there is no such label.
    """
    article = Categorical(name="article_id", dtype="int64", min_count=10)
    category = Categorical(name="category_id", dtype="int64")
    numbers = (
        *("article_clicks_last_hour", "article_clicks_last_day", "article_age_hours", "article_words"),
        "user_click_count",
    )
    shared = (Categorical(name=f.name, dtype="int64", table=f.name) for f in (article, category))
    made = FeatureSchema(
        name="globo",
        features=(
            *(Numeric(name=name, transform="log", buckets=16) for name in numbers),
            article,
            category,
            *(Categorical(name=name, dtype="int64") for name in (*CONTEXT, "hour")),
        ),
        sequences=(
            Sequence(
                name="clicked",
                # `age`: 1 + floor(log2(1 + seconds before the request)).
                fields=(*shared, Categorical(name="age", dtype="int64")),
                max_length=MAX_LENGTH,
                match=("category_id",),
            ),
        ),
        labels=(Label(name="is_click"),),
        group="user_id",
        request="request_id",
        candidate=("article_id", "category_id", *(name for name in numbers if name.startswith("article"))),
    )
    return made if labels is None else made.with_labels(*labels)
