"""Draws the click log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.datasets.synthetic_clicks.catalogue import FIRST_ITEM_ID, IntArray, catalogue
from pipelines.datasets.synthetic_clicks.equation import Effects, true_probabilities
from pipelines.datasets.synthetic_clicks.vocabulary import (
    AGE_BANDS,
    CATEGORIES,
    REGIONS,
    STRING_COLUMNS,
    SURFACES,
)

MAX_VIEWED = 16
MAX_SEARCHED = 6
LABELS = ("is_click", "is_purchase")
LIST_COLUMN = "list_id"
FIRST_USER_ID = 100_000
START = 1_704_067_200  # 2024-01-01, a Monday, in Unix seconds
DAYS = 28
# First day of each later split: the test split is the last three days.
SPLIT_DAYS = {"train": 0, "validation": 22, "test": 25}

_DAY = 86_400
_IMPRESSIONS_PER_USER = 10
_LISTS_PER_USER = 4
_VIEWS = 64
_SEARCHES = 24
_FAVOURITES = 4


def simulate(
    num_examples: int,
    seed: int = 0,
    label_seed: int | None = None,
    effects: Effects | None = None,
    list_size: int = 1,
) -> dict[str, NDArray[Any]]:
    """Simulates impressions on the shelves of a shop, in the order of time.

    The histories hold browsing elsewhere in the shop, never the impressions themselves, so a label cannot leak
    into a feature.

    Args:
        num_examples: int. Number of impressions, at least 1; there are ten per user on average.
        seed: int. Decides everything; the same seed gives the same log. Defaults to 0.
        label_seed: int or None. Redraws the labels alone. Defaults to `seed`.
        effects: `Effects` or None. Strengths of the planted effects. Defaults to those of the data set.
        list_size: int. Items that a user is shown at once: they have what is not the item's in common, and a `list_id`;
            a user sees four lists on average. Must divide `num_examples`. Defaults to 1: no lists.

    Returns:
        dict: a raw batch of `num_examples`: the columns of `schema`, int64 labels, `user_id`, `timestamp` (Unix
        seconds, increasing) and, per label, `probability_<label>`, the true probability, which is not a feature.

    Raises:
        ValueError: If `num_examples` is below 1, or no multiple of `list_size`.

    Example:

    >>> log = simulate(1000, seed=7)
    >>> log["viewed_category"].shape, sorted(set(log["is_click"].tolist()))
    ((1000, 16), [0, 1])
    """
    if num_examples < 1:
        raise ValueError(f"`num_examples` must be at least 1. Received: {num_examples}")
    if list_size < 1 or num_examples % list_size:
        raise ValueError(f"`list_size` must divide `num_examples`. Received: {list_size}, of {num_examples}")
    rng = np.random.default_rng(seed)
    codes = _draw(num_examples, rng, list_size)
    probabilities = true_probabilities(codes, effects)
    columns = {name: _decode(name, values) for name, values in codes.items()}
    clicked, bought = np.random.default_rng([seed if label_seed is None else label_seed, 1]).random((2, num_examples))
    click = clicked < probabilities["is_click"]
    # Who buys has clicked: P(buy | click) = P(buy) / P(click).
    purchase = click & (bought * probabilities["is_click"] < probabilities["is_purchase"])
    columns |= {"is_click": click.astype(np.int64), "is_purchase": purchase.astype(np.int64)}
    return columns | {f"probability_{label}": probabilities[label].astype(np.float32) for label in LABELS}


def split_by_time(columns: Mapping[str, NDArray[Any]]) -> dict[str, dict[str, NDArray[Any]]]:
    """Splits a log of `simulate` by day: 22 days for training, 3 for validation, the last 3 for testing.

    Args:
        columns: dict. What `simulate` returned.

    Returns:
        dict: split -> columns. A split of a very small log may be empty.
    """
    cuts = [START + day * _DAY for day in SPLIT_DAYS.values()] + [START + DAYS * _DAY]
    at = np.searchsorted(columns["timestamp"], cuts)
    return {
        split: {name: values[begin:end] for name, values in columns.items()}
        for split, begin, end in zip(SPLIT_DAYS, at[:-1], at[1:], strict=True)
    }


def _draw(num_examples: int, rng: np.random.Generator, list_size: int) -> dict[str, NDArray[Any]]:
    """Everything but the labels, strings still as codes."""
    shop = catalogue()
    lists = num_examples // list_size
    users = max(1, lists // (_IMPRESSIONS_PER_USER if list_size == 1 else _LISTS_PER_USER))
    timestamp = np.sort(START + _DAY * rng.integers(0, DAYS, lists) + _second_of_day(lists, rng))
    time = (timestamp - START) / (DAYS * _DAY)
    activity = np.cumsum(rng.lognormal(0.0, 0.7, users))
    user = np.searchsorted(activity, activity[-1] * rng.random(lists), side="right")

    # What each user did elsewhere in the shop, oldest first, and how much of it by the time of the impression.
    favourites = rng.integers(0, len(CATEGORIES), (users, _FAVOURITES))
    viewed_category = _browse(favourites, _VIEWS, 0.4, rng)
    sentiment = np.take_along_axis(rng.normal(size=(users, len(CATEGORIES))), viewed_category, axis=1)
    feeling = 0.92 * sentiment + 0.4 * rng.normal(size=viewed_category.shape)
    reaction = np.searchsorted([-0.4, 0.3, 0.95], feeling)
    searched_category = _browse(favourites, _SEARCHES, 0.2, rng)
    in_all = np.minimum(rng.lognormal(3.4, 0.8, users), _VIEWS)
    joined = np.where(rng.random(users) < 0.2, rng.random(users), -0.2 - rng.exponential(1.0, users))[user]
    share = np.clip((time - joined) / (1.0 - joined), 0.0, 1.0)
    num_viewed = np.floor(in_all[user] * share).astype(np.int64)
    num_searched = np.minimum(rng.poisson(0.25 * num_viewed), _SEARCHES)

    # The shelf is filled from recent views, favourites and at random.
    shown = np.repeat(np.arange(lists), list_size)
    seen = num_viewed[shown]
    back = 1 + np.floor(rng.random(num_examples) * np.minimum(seen, MAX_VIEWED)).astype(np.int64)
    recent = viewed_category[user[shown], np.maximum(seen - back, 0)]
    favourite = favourites[user[shown], rng.integers(0, _FAVOURITES, num_examples)]
    source = rng.random(num_examples)
    category = np.where(source < 0.5, favourite, rng.integers(0, len(CATEGORIES), num_examples))
    category = np.where((rng.random(num_examples) < 0.75) & (seen > 0), recent, category)
    item = shop.draw(category, rng)

    age_band = rng.integers(0, len(AGE_BANDS), users)
    age_band[rng.random(users) < 0.05] = -1
    of_list: dict[str, NDArray[Any]] = {
        "user_id": user + FIRST_USER_ID,
        "timestamp": timestamp,
        "age_band": age_band[user],
        "region": rng.integers(0, len(REGIONS), users)[user],
        "membership": rng.choice(3, users, p=[0.6, 0.28, 0.12])[user],
        "account_age_days": np.round(np.exp(rng.normal(5.5, 1.2, users)))[user],
        "days_since_order": np.round(np.exp(rng.normal(2.5, 1.3, lists)), 1),
        "device": rng.choice(3, lists, p=[0.55, 0.1, 0.35]),
        "surface": rng.choice(len(SURFACES), lists, p=[0.4, 0.15, 0.2, 0.25]),
        "hour": timestamp // 3600 % 24,
    }
    columns = {name: values[shown] for name, values in of_list.items()} | {
        "item_id": item + FIRST_ITEM_ID,
        "category": category,
        "brand": shop.brand[item],
        "style": shop.style[item],
        "tags": shop.tags[item],
        "price": np.round(shop.price[item] * np.exp(rng.normal(0.0, 0.1, num_examples)), 2),
        "discount_percent": np.where(rng.random(num_examples) < 0.6, 0.0, 5.0 * rng.integers(1, 11, num_examples)),
        "rating": np.round(np.clip(rng.normal(4.1, 0.5, num_examples), 1.0, 5.0), 1),
    }
    columns["rating"][rng.random(num_examples) < 0.15] = np.nan
    histories = {
        "viewed_category": _history(viewed_category, user, num_viewed, MAX_VIEWED),
        "viewed_reaction": _history(reaction, user, num_viewed, MAX_VIEWED),
        "viewed_length": np.minimum(num_viewed, MAX_VIEWED).astype(np.int32),
        "searched_category": _history(searched_category, user, num_searched, MAX_SEARCHED),
        "searched_length": np.minimum(num_searched, MAX_SEARCHED).astype(np.int32),
    }
    columns |= {name: values[shown] for name, values in histories.items()}
    columns |= {LIST_COLUMN: shown} if list_size > 1 else {}
    # The equation reads the numbers exactly as they are stored.
    return {name: v.astype(np.float32) if v.dtype.kind == "f" else v for name, v in columns.items()}


def _second_of_day(size: int, rng: np.random.Generator) -> IntArray:
    """Seconds since midnight: people shop most in the evening."""
    hours = 1.2 - np.cos(2.0 * np.pi * (np.arange(24) - 6) / 24.0)
    return 3600 * rng.choice(24, size, p=hours / hours.sum()) + rng.integers(0, 3600, size)


def _browse(favourites: IntArray, length: int, stay: float, rng: np.random.Generator) -> IntArray:
    """Categories, one after the other, `[users, length]`: mostly favourites, often the same as the one before."""
    shape = (len(favourites), length)
    slot = np.searchsorted([0.4, 0.65, 0.85], rng.random(shape), side="right")
    category = np.where(
        rng.random(shape) < 0.25,
        rng.integers(0, len(CATEGORIES), shape),
        np.take_along_axis(favourites, slot, axis=1),
    )
    # Where the shopper stays, the last position at which she did not.
    moved = np.where(rng.random(shape) < stay, 0, np.arange(length))
    return np.take_along_axis(category, np.maximum.accumulate(moved, axis=1), axis=1)


def _history(stream: IntArray, user: IntArray, seen: IntArray, max_length: int) -> IntArray:
    """The last events of each impression's user, oldest first, padded on the right with -1."""
    length = np.minimum(seen, max_length)[:, None]
    position = np.arange(max_length)
    at = np.minimum(seen[:, None] - length + position, stream.shape[1] - 1)
    return np.where(position < length, stream[user[:, None], at], -1)


def _decode(name: str, values: NDArray[Any]) -> NDArray[Any]:
    names = STRING_COLUMNS.get(name)
    return values if names is None else np.array([*names, ""], dtype=object)[values]
