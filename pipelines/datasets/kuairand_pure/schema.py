"""The features of KuaiRand-Pure, declared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from pipelines.datasets.kuairand_pure.raw import USER_CODES, USER_NUMBERS
from tf_interformer.schema import Categorical, Feature, FeatureSchema, Label, Numeric, Sequence

Features = Literal["made", "raw", "both"]
LABELS = ("is_click", "long_view", "is_like")
HISTORIES = ("watched", "long_watched", "liked")
MAX_LENGTH = 50

# How many quantile buckets the strongest numbers are cut into.
_BUCKETS = 16

# Left out: cells that are the same in every row (is_lowactive_period, visible_status), the ranges of
# numbers that are there themselves, music ids (one per video), and codes without any gain in a gradient
# boosted model (onehot_feat5, onehot_feat11 to 17, weekday: five days of training do not show a week).
# Ids seen less than ten times are one unknown id: five days show most users two or three times, and an
# embedding of their own would only remember what they did.
_CATEGORICALS = (
    Categorical(name="user_id", dtype="int64", min_count=10),
    Categorical(name="video_id", dtype="int64", min_count=10),
    Categorical(name="author_id", dtype="int64", min_count=10),
    Categorical(name="tag", dtype="int64", max_values=3),
    Categorical(name="tab", dtype="int64"),
    Categorical(name="hour", dtype="int64"),
    Categorical(name="user_active_degree"),
    *(Categorical(name=name, dtype="int64") for name in USER_CODES),
    Categorical(name="video_type"),
    Categorical(name="upload_type"),
    Categorical(name="music_type", dtype="int64"),
)

# Name, transform, and whether its quantile bucket gets an embedding beside the value.
_NUMERICS: tuple[tuple[str, Literal["standardize", "log", "none"], bool], ...] = (
    ("follow_user_num", "log", False),
    ("fans_user_num", "log", False),
    ("friend_user_num", "log", False),
    ("register_days", "log", True),
    ("video_duration", "log", True),
    ("video_aspect", "log", False),
    ("video_age_days", "log", False),
    ("video_share", "log", True),
    ("video_click_rate", "standardize", True),
    ("video_long_view_rate", "standardize", True),
    ("author_share", "log", False),
    ("author_click_rate", "standardize", False),
    ("author_long_view_rate", "standardize", True),
    ("tag_share", "log", False),
    ("tag_click_rate", "standardize", False),
    ("tag_long_view_rate", "standardize", False),
    ("tab_click_rate", "standardize", False),
    ("tab_long_view_rate", "standardize", False),
    ("user_click_rate", "standardize", False),
    ("user_long_view_rate", "standardize", True),
    ("user_event_count", "log", True),
    ("user_long_watch_count", "log", False),
    ("user_like_count", "log", False),
    ("user_click_ratio", "standardize", False),
    ("user_click_ratio_recent", "standardize", False),
    ("user_click_ratio_last", "standardize", False),
    ("user_click_ratio_last_hour", "standardize", False),
    ("user_long_watch_ratio", "standardize", True),
    ("user_long_watch_ratio_recent", "standardize", False),
    ("user_long_watch_ratio_last", "standardize", False),
    ("user_long_watch_ratio_last_hour", "standardize", False),
    ("user_like_ratio", "standardize", False),
    ("user_tag_click_ratio", "standardize", False),
    ("user_tag_long_watch_ratio", "standardize", False),
    ("user_tab_click_ratio", "standardize", True),
    ("user_tab_long_watch_ratio", "standardize", False),
    ("video_in_watched", "log", False),
    ("video_in_long_watched", "log", False),
    ("author_in_watched", "log", False),
    ("author_in_long_watched", "log", False),
    ("tag_in_watched", "log", False),
    ("tag_in_long_watched", "log", False),
    ("tab_in_watched", "log", False),
    ("minutes_since_last", "log", True),
    ("user_events_last_hour", "log", False),
    ("user_events_last_day", "log", False),
)

# The numbers that describe a user or a video: published, or a quotient or difference of what is.
_PUBLISHED = (
    *USER_NUMBERS,
    "video_duration",
    "video_aspect",
    "video_age_days",
)

# What differs between the videos that are ranked in one request; `user_tag_*` and `*_in_watched` tell how the user
# and the video go together.
_CANDIDATE_PREFIXES = ("video_", "author_", "tag_", "user_tag_")
_CANDIDATE = ("tag", "upload_type", "music_type")


def schema(labels: Iterable[str] | None = ("is_click",), features: Features = "made") -> FeatureSchema:
    """Returns the schema of the examples that `KuairandPure` writes.

    Args:
        labels: iterable of str or None. The tasks, of `"is_click"`, `"long_view"` and `"is_like"`; all of them
            when `None`. Defaults to `("is_click",)`.
        features: `"made"`: beside what is published, numbers that are counted in the log before an impression, and
            three histories of ids. `"raw"`: what is published alone, and one history whose events say what became of
            them. `"both"`: the numbers and that history. Defaults to `"made"`.

    Returns:
        A `FeatureSchema` whose vocabularies and statistics are yet to be learned.

    Raises:
        ValueError: If a label is not one of the three, or there are no such features.

    Example:

    ```python
    click_and_long_view = schema(labels=("is_click", "long_view"))
    ```
    """
    labels = LABELS if labels is None else tuple(labels)
    unknown = [label for label in labels if label not in LABELS]
    if unknown or not labels:
        raise ValueError(f"labels must be some of {', '.join(LABELS)}. Received: {labels}.")
    if features not in get_args(Features):
        raise ValueError(f"features must be one of {', '.join(get_args(Features))}. Received: {features!r}.")
    numerics = [
        Numeric(name=name, transform=transform, buckets=_BUCKETS if bucketed else 0)
        for name, transform, bucketed in _NUMERICS
        if features != "raw" or name in _PUBLISHED
    ]
    declared: tuple[Feature, ...] = (*numerics, *_CATEGORICALS)
    return FeatureSchema(
        name="kuairand_pure" if features == "made" else f"kuairand_pure_{features}",
        features=declared,
        sequences=_histories() if features == "made" else (_watched(),),
        labels=tuple(Label(name=label) for label in labels),
        group="user_id",
        candidate=tuple(f.name for f in declared if f.name in _CANDIDATE or f.name.startswith(_CANDIDATE_PREFIXES)),
    )


def _histories() -> tuple[Sequence, ...]:
    fields = tuple(Categorical(name=n, dtype="int64", table=n) for n in ("video_id", "author_id", "tag"))
    return tuple(Sequence(name=name, fields=fields, max_length=MAX_LENGTH) for name in HISTORIES)


def _watched() -> Sequence:
    """The history whose events say what became of them; see `watched.add_watched`."""
    shared = (Categorical(name=n, dtype="int64", table=n) for n in ("video_id", "author_id", "tag", "tab"))
    own = (Categorical(name=n, dtype="int64") for n in ("outcome", "watched", "age"))
    match = ("video_id", "author_id", "tag")
    return Sequence(name="watched", fields=(*shared, *own), max_length=MAX_LENGTH, match=match)
