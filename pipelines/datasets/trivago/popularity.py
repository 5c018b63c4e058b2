"""What other users did with an item before."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.datasets.kuairand_pure.history import FloatArray, IntArray
from pipelines.datasets.trivago.events import Events
from pipelines.datasets.trivago.raw import CLICK_OUT, ON_ITEM

# How many impressions the rate of all items is worth beside the item's own.
STRENGTH = 20.0
_TIME_BITS = 33
INTERACTIONS = tuple(action for action in ON_ITEM.values() if action != CLICK_OUT)


class EarlierCounts:
    """How often others had an event on an item before a moment.

    Args:
        item: int array `[E]`. The item of each event.
        user: int array `[E]`. Its user, numbered from 0.
        time: int array `[E]`. Its second since 1970.
    """

    def __init__(self, item: IntArray, user: IntArray, time: IntArray) -> None:
        self._items, code = np.unique(item, return_inverse=True)
        pair = user * len(self._items) + code
        self._pairs, pair_code = np.unique(pair, return_inverse=True)
        self._of_item = np.sort(code << _TIME_BITS | time)
        self._of_pair = np.sort(pair_code << _TIME_BITS | time)
        self._times = np.sort(time)

    def of_others(self, item: IntArray, user: IntArray, moment: IntArray) -> IntArray:
        """Events of other users on an item in strictly earlier seconds, int array `[R]`.

        Args:
            item: int array `[R]`.
            user: int array `[R]`.
            moment: int array `[R]`. Seconds since 1970.
        """
        code, known = _found(self._items, item)
        pair, by_user = _found(self._pairs, user * len(self._items) + code)
        all_users = _earlier(self._of_item, code, moment)
        return np.where(known, all_users - np.where(by_user, _earlier(self._of_pair, pair, moment), 0), 0)

    def of_all(self, moment: IntArray) -> IntArray:
        """Events of all users on all items in strictly earlier seconds, int array `[R]`."""
        return np.searchsorted(self._times, moment)


def _found(known: IntArray, wanted: IntArray) -> tuple[IntArray, np.ndarray]:
    if not len(known):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return place, known[place] == wanted


def _earlier(keys: IntArray, code: IntArray, moment: IntArray) -> IntArray:
    begin = code << _TIME_BITS
    earlier: IntArray = np.searchsorted(keys, begin | moment) - np.searchsorted(keys, begin)
    return earlier


class Popularity:
    """Impressions, click-outs and interactions of the whole log.

    Args:
        events: `Events`. The log.
    """

    def __init__(self, events: Events) -> None:
        def counts(actions: tuple[str, ...]) -> EarlierCounts:
            chosen = events.table["action_type"].is_in(actions).to_numpy() & (events.item >= 0)
            return EarlierCounts(events.item[chosen], events.user_code[chosen], events.time[chosen])

        shown = events.table.select("impressions", "timestamp", user=pl.Series(events.user_code))
        shown = shown.filter(pl.col("impressions").is_not_null()).explode("impressions")
        self._shown = EarlierCounts(*(shown[name].to_numpy() for name in ("impressions", "user", "timestamp")))
        self._clicked = counts((CLICK_OUT,))
        self._touched = counts(INTERACTIONS)

    def before(self, item: IntArray, user: IntArray, moment: IntArray) -> dict[str, FloatArray]:
        """The popularity columns; the arguments are those of `EarlierCounts.of_others`.

        The click rate is drawn towards that of all items up to then; it is NaN where nothing was shown before.
        """
        shown, clicked, touched = (c.of_others(item, user, moment) for c in (self._shown, self._clicked, self._touched))
        all_shown = self._shown.of_all(moment)
        rate = np.where(all_shown > 0, self._clicked.of_all(moment) / np.maximum(all_shown, 1), np.nan)
        return {
            "item_impressions": shown.astype(np.float64),
            "item_clicks": clicked.astype(np.float64),
            "item_interactions": touched.astype(np.float64),
            "item_click_rate": (clicked + STRENGTH * rate) / (shown + STRENGTH),
        }
