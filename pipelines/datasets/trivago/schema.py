"""The features of trivago, declared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, Sequence

MAX_LENGTH = 50
MAX_FILTERS = 4
NOT_SHOWN = -1

_CONTEXT = (
    Categorical(name="platform"),
    Categorical(name="device"),
    Categorical(name="city", min_count=20),
    Categorical(name="hour", dtype="int64"),
    Categorical(name="sort_order"),
    Categorical(name="filters", max_values=MAX_FILTERS, min_count=20),
    Numeric(name="filter_count", transform="log"),
    Numeric(name="list_length"),
)
_CANDIDATE = (
    Categorical(name="item_id", dtype="int64", min_count=5),
    Categorical(name="position", dtype="int64"),
    Numeric(name="position_number"),
    Numeric(name="price", transform="log", buckets=16),
    Numeric(name="price_rank"),
    Numeric(name="price_to_mean"),
    Numeric(name="price_to_min"),
    Numeric(name="item_impressions", transform="log"),
    Numeric(name="item_clicks", transform="log"),
    Numeric(name="item_interactions", transform="log"),
    Numeric(name="item_click_rate"),
)
HISTORY = Sequence(
    name="history",
    fields=(
        Categorical(name="item_id", dtype="int64", table="item_id"),
        Categorical(name="action"),
        Categorical(name="age", dtype="int64"),
        Categorical(name="session", dtype="int64"),
        # Where the item of the event stands in the list that is ranked.
        Categorical(name="position", dtype="int64", table="position", missing=NOT_SHOWN),
    ),
    max_length=MAX_LENGTH,
    match=("item_id",),
    # Where the candidate stands from what was looked at: people read on.
    distance=("position",),
)
# Numbers made by hand of the history: of the item in it, and of the whole.
_MADE_CANDIDATE = (
    *(Numeric(name=f"touched_{kind}", transform="log") for kind in ("image", "info", "rating", "deals", "search")),
    Numeric(name="touched_clickout", transform="log"),
    Numeric(name="touched_seconds_ago", transform="log"),
    Numeric(name="touched_events_ago", transform="log"),
    Numeric(name="touched_in_session"),
    Numeric(name="is_last_touched"),
    Numeric(name="is_last_clicked"),
    Numeric(name="places_from_last_touched", transform="log"),
    Numeric(name="places_from_last_clicked", transform="log"),
    Numeric(name="items_touched_since", transform="log"),
    Numeric(name="session_share"),
    Numeric(name="touch_share"),
)
_MADE_CONTEXT = (
    Numeric(name="items_touched", transform="log"),
    Numeric(name="last_touched_position"),
    Numeric(name="last_touched_count", transform="log"),
    Numeric(name="list_touched_seconds_ago", transform="log"),
    Numeric(name="list_touched_events_ago", transform="log"),
    Numeric(name="seconds_since_event", transform="log"),
    Numeric(name="history_events", transform="log"),
    Numeric(name="session_events", transform="log"),
    Numeric(name="step", transform="log"),
)


def schema(labels: Iterable[str] | None = None, features: Literal["raw", "made"] = "raw") -> FeatureSchema:
    """Returns the schema of the examples that `Trivago` writes.

    Metrics go by user, who is no feature, and by request, the list. Of 1,394 users of the test split 71 are in the
    training split.

    Args:
        labels: iterable of str or None. There is one, `"clicked"`. Defaults to `None`.
        features: str. `"raw"`: the history is the sequence alone. `"made"`: beside it, 25 numbers made by hand of the
            same events, which trees need and a network should find by itself. Defaults to `"raw"`.

    Raises:
        SchemaError: If there is no such label.
        ValueError: If `features` is neither.
    """
    if features not in ("raw", "made"):
        raise ValueError(f"`features` must be 'raw' or 'made'. Received: {features!r}")
    made = features == "made"
    candidate = _CANDIDATE + (_MADE_CANDIDATE if made else ())
    declared = FeatureSchema(
        name="trivago",
        features=(*_CONTEXT, *candidate, *(_MADE_CONTEXT if made else ())),
        sequences=(HISTORY,),
        labels=(Label(name="clicked"),),
        group="user_id",
        group_dtype="string",
        request="request_id",
        request_dtype="string",
        candidate=tuple(feature.name for feature in candidate),
    )
    return declared if labels is None else declared.with_labels(*labels)
