"""Requests: what was clicked, and what else could have been."""

from __future__ import annotations

import numpy as np

from pipelines.datasets.kuairand_pure.history import IntArray, Stream, moments

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_AT_ONCE = 100_000


class Clicks:
    """Clicks of the log in the order of their time.

    Args:
        time: int array `[C]`. Milliseconds since 1970, ascending.
        user: int array `[C]`. Ids of users.
        article: int array `[C]`. Ids of articles.

    Attributes:
        percentile: int array `[C]`. A number from 0 to 99 that depends on the user's id alone.
    """

    def __init__(self, time: IntArray, user: IntArray, article: IntArray) -> None:
        self.time = time
        _, self.user = np.unique(user, return_inverse=True)
        self.article_ids, self.article = np.unique(article, return_inverse=True)
        # By the ids themselves: their numbers here change with the clicks that follow.
        of_user = _hash(user)
        self.percentile = (of_user % np.uint64(100)).astype(np.int64)
        self._chance = _hash(_hash(of_user ^ article.astype(np.uint64)) ^ time.astype(np.uint64))
        self._of_article = Stream(np.sort(moments(self.article, time)), {})
        self._pairs, self._first_click = np.unique(self._pair(self.user, self.article), return_index=True)

    def _pair(self, user: IntArray, article: IntArray) -> IntArray:
        return user.astype(np.int64) * len(self.article_ids) + article

    @property
    def is_first(self) -> np.ndarray:
        """Whether each is its user's first click on the article, bool array `[C]`."""
        first = np.zeros(len(self.time), bool)
        first[self._first_click] = True
        return first

    def clicks_of(self, article: IntArray, time: IntArray, span: int) -> IntArray:
        """How often anybody clicked an article in the time before a moment, int array `[R]`.

        Args:
            article: int array `[R]`. Articles as in `article`, which numbers them from 0.
            time: int array `[R]`.
            span: int. How long before, in milliseconds.
        """
        window = self._of_article.before(moments(article, time), len(self.time))
        return self._of_article.since(moments(article, time - span), window).length

    def has_clicked(self, user: IntArray, article: IntArray, time: IntArray) -> np.ndarray:
        """Whether users have clicked articles before a moment; the three broadcast.

        Args:
            user: int array.
            article: int array.
            time: int array.
        """
        wanted = self._pair(user, article)
        places = np.minimum(np.searchsorted(self._pairs, wanted), len(self._pairs) - 1)
        first = self.time[self._first_click[places]]
        known: np.ndarray = (self._pairs[places] == wanted) & (first < time)
        return known

    def negatives(self, rows: IntArray, count: int) -> tuple[IntArray, IntArray]:
        """Draws articles that were not clicked.

        Args:
            rows: int array `[R]`. Positions of the clicks that are requests.
            count: int. How many to draw for each, at most.

        Returns:
            The request of each negative, as its place in `rows`, and its article: two int arrays `[N]`.
        """
        requests, articles = [], []
        for start in range(0, len(rows), _AT_ONCE):
            request, article = self._draw(rows[start : start + _AT_ONCE], count)
            requests.append(request + start)
            articles.append(article)
        return np.concatenate(requests), np.concatenate(articles)

    def _draw(self, rows: IntArray, count: int) -> tuple[IntArray, IntArray]:
        time, user, clicked = self.time[rows], self.user[rows], self.article[rows]
        start = np.searchsorted(self.time, time - HOUR_MS)
        size = np.searchsorted(self.time, time) - start
        # Some draws are no candidates; of four times as many, enough are.
        draws = np.arange(4 * count + 8)
        chance = _hash(self._chance[rows][:, None] + draws.astype(np.uint64))
        place = start[:, None] + (chance % np.maximum(size, 1).astype(np.uint64)[:, None]).astype(np.int64)
        article = self.article[place]
        good = (article != clicked[:, None]) & (size > 0)[:, None]
        good &= ~self.has_clicked(user[:, None], article, time[:, None])
        for i in range(1, len(draws)):
            good[:, i] &= ~(article[:, :i] == article[:, i : i + 1]).any(axis=1)
        good &= np.cumsum(good, axis=1) <= count
        request, draw = np.nonzero(good)
        return request, article[request, draw]


def _hash(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64: numbers `[N]`, uint64, that look random and depend on the value alone."""
    x = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
