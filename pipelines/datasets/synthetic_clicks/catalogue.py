"""The shop's items."""

import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray

from pipelines.datasets.synthetic_clicks.vocabulary import BRANDS, CATEGORIES, STYLES, TAGS

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NUM_ITEMS = 500
FIRST_ITEM_ID = 5000
MAX_TAGS = 4
_SEED = 20240101


@dataclasses.dataclass(frozen=True, eq=False)
class Catalogue:
    """The items, sorted by category, and what shoppers think of their attributes.

    Attributes:
        category: Category of each item.
        brand: Brand of each item.
        style: Style of each item.
        tags: Tags of each item, `[items, MAX_TAGS]`, -1 where it has fewer.
        price: List price of each item.
        popularity: Cumulative popularity, `[items + 1]`.
        starts: First item of each category, `[categories + 1]`.
        usual_log_price: Log price that is usual in each category.
        item_appeal: Appeal of each item; likewise of each category, brand, style, tag.
    """

    category: IntArray
    brand: IntArray
    style: IntArray
    tags: IntArray
    price: FloatArray
    popularity: FloatArray
    starts: IntArray
    usual_log_price: FloatArray
    item_appeal: FloatArray
    category_appeal: FloatArray
    brand_appeal: FloatArray
    style_appeal: FloatArray
    tag_appeal: FloatArray

    def draw(self, category: IntArray, rng: np.random.Generator) -> IntArray:
        """Draws an item of each of the given categories, by popularity."""
        first, end = self.starts[category], self.starts[category + 1]
        low, high = self.popularity[first], self.popularity[end]
        item = np.searchsorted(self.popularity, low + (high - low) * rng.random(category.shape), side="right") - 1
        return np.clip(item, first, end - 1)


@functools.cache
def catalogue() -> Catalogue:
    """The one catalogue: the same for every size and seed, so that all simulated logs are of one shop."""
    rng = np.random.default_rng(_SEED)
    # Every category has an item.
    known = np.arange(len(CATEGORIES))
    category = np.sort(np.concatenate([known, rng.integers(0, len(CATEGORIES), NUM_ITEMS - len(known))]))
    usual_log_price = rng.normal(3.4, 0.9, len(CATEGORIES))
    # A long tail: the item of rank r is seen in proportion to 1 / (r + 10).
    popularity = 1.0 / (rng.permutation(NUM_ITEMS) + 10.0)
    tags = np.argsort(rng.random((NUM_ITEMS, len(TAGS))), axis=1)[:, :MAX_TAGS].astype(np.int64)
    tags[np.arange(MAX_TAGS) >= rng.integers(0, MAX_TAGS + 1, NUM_ITEMS)[:, None]] = -1
    return Catalogue(
        category=category,
        brand=rng.integers(0, len(BRANDS), NUM_ITEMS),
        style=rng.integers(0, len(STYLES), NUM_ITEMS),
        tags=tags,
        price=np.exp(rng.normal(usual_log_price[category], 0.5)),
        popularity=np.concatenate([[0.0], np.cumsum(popularity)]),
        starts=np.searchsorted(category, np.arange(len(CATEGORIES) + 1)),
        usual_log_price=usual_log_price,
        item_appeal=rng.normal(0.0, 0.1, NUM_ITEMS),
        category_appeal=rng.normal(0.0, 0.2, len(CATEGORIES)),
        brand_appeal=rng.normal(0.0, 0.15, len(BRANDS)),
        style_appeal=rng.normal(0.0, 0.15, len(STYLES)),
        tag_appeal=rng.normal(0.0, 0.15, len(TAGS)),
    )
