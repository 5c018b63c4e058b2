"""synthetic_clicks: a simulated click log of a shop, with known click probabilities.

It needs no download, takes seconds to make in any size, and is decided by its seed. A *user* is shown an *item* on
a shelf (`surface`) of the shop. The histories are what the user has lately done elsewhere in the shop: `viewed`, the
category of each item viewed and how the user reacted (skip, glance, save or cart), and `searched`, the category of
each search. The labels are `is_click` and `is_purchase`. Their true probabilities are stored beside them
(`probability_is_click`), so the best possible AUC, log loss and NE of each split are known:
`tf-interformer best-possible` prints them.

The generating equation, with the views numbered from the oldest, 1, to the latest, n:

    P(click) = sigmoid(-1.6 + main + mood + memory + intent)

    main    appeal of the item, its category, brand, style and tags, of region and surface; dearness (log of the price
            over what is usual in the category); rating; discount, which counts more for members; days since the last
            order; hour of the day
    mood    0.7 (w_n + 0.6 w_{n-1}),  w_t = warms(family(category_t)) liking(reaction_t)
    memory  2.2 (mean of liking(reaction_t) over the views t of the item's category + 0.3 if it was searched for)
    intent  1.7 (i_n + 0.6 i_{n-1}),  i_t = sum of affinity_f(category_t, f) over the features f: brand, style, surface,
            age band, region; the two views have tables of their own

    P(purchase) = P(click) sigmoid(-0.7 + 0.6 membership + 0.02 discount + 0.8 memory / 2.2 - 0.6 dearness)

    liking  skip -1, glance -0.4, save 0.8, cart 1.4
    warms   +1 for fashion and electronics, -1 for home and groceries

With an empty history, mood, memory and intent are 0. The parts ask these of a model (`Effects` sets their strength):

- *mood* needs order and pairing: a save warms a shopper to more fashion, and ends the search for a lamp; only the
  last two views count. A history that is averaged early has lost both.
- *memory* needs the item to select within the history: features must flow into the sequence.
- *intent* needs the state of the history to meet each feature by itself, before anything is summarised: the sequence
  must flow into the features. The affinities have no main effects: neither a view nor a feature says anything alone.

Both directions have more to say than a summary token holds: `memory` is a number per category, and `intent` knows 20
categories, twice, against five features.

The splits are by day: 22 days for training, 3 for validation, 3 for testing.
"""

from typing import TYPE_CHECKING, Any

from pipelines.datasets.synthetic_clicks.best_possible import best_possible
from pipelines.datasets.synthetic_clicks.equation import Effects, click_logit_parts, true_probabilities
from pipelines.datasets.synthetic_clicks.schema import PROBABILITY_COLUMNS, schema
from pipelines.datasets.synthetic_clicks.simulate import simulate, split_by_time

if TYPE_CHECKING:
    from pipelines.datasets.synthetic_clicks.builder import SyntheticClicks, SyntheticClicksConfig

    Builder = SyntheticClicks

__all__ = [
    "PROBABILITY_COLUMNS",
    "Builder",
    "Effects",
    "SyntheticClicks",
    "SyntheticClicksConfig",
    "best_possible",
    "click_logit_parts",
    "schema",
    "simulate",
    "split_by_time",
    "true_probabilities",
]

# Loaded when first named, since only they need TensorFlow Datasets. `Builder` is what every data set calls its own.
_BUILDERS = {
    "Builder": "SyntheticClicks",
    "SyntheticClicks": "SyntheticClicks",
    "SyntheticClicksConfig": "SyntheticClicksConfig",
}


def __getattr__(name: str) -> Any:
    if name in _BUILDERS:
        from pipelines.datasets.synthetic_clicks import builder

        return getattr(builder, _BUILDERS[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
