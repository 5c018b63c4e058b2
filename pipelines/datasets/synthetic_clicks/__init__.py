"""synthetic_clicks: a simulated click log of a shop, with known click probabilities.

It needs no download, takes seconds to make in any size, and is decided by its seed. A *user* is shown an *item* on
a shelf (`surface`) of the shop; what the user has lately viewed (item, category, brand, and how the user reacted:
skip, glance, save or cart) and searched for elsewhere in the shop are the histories. The labels are `is_click` and
`is_purchase`. Their true probabilities are stored beside them (`probability_is_click`), so the best possible AUC,
log loss and NE of each split are known: `python -m pipelines.datasets.synthetic_clicks` prints them.

The generating equation. Events are numbered from the oldest 1 to the latest n:

    P(click) = sigmoid(bias + main + mood + memory + intent)

    main    appeal of the item, its category, brand, style and tags, of region and surface, dearness (the log of the
            price over what is usual in the category), rating, discount (which counts more for members), days since
            the last order, hour of the day
    mood    0.7 * sum of 1.0 and 0.6 times warms(family(category_t)) * liking(reaction_t) over t = n, n-1
    memory  2.2 * (mean of liking(reaction_t) over the views t of the item's own category that the user has in mind,
            by device) + 2.2 * 0.3 if the user searched for the item's category
    intent  1.0 * loyalty(age band) if the item is of the brand last viewed

    P(purchase) = P(click) * sigmoid(-0.7 + 0.6 membership + 0.02 discount + 0.8 memory / 2.2 - 0.6 dearness)

An effect of an empty history is 0. What each effect asks of a model (`Effects` sets or drops them one by one):

- *mood* needs order and pairing: a save warms a shopper to fashion and electronics and ends the search for home and
  groceries, and only the last two views count. A history averaged early has lost both.
- *memory* needs the item to select within the history: what flows from features to sequence.
- *intent* needs the state of the history among the features, where it gates an interaction: brand just viewed by
  brand of the item by age band.

The splits are by day: 22 days for training, 3 for validation, 3 for testing.
"""

from pipelines.datasets.synthetic_clicks.best_possible import best_possible
from pipelines.datasets.synthetic_clicks.builder import PROBABILITY_COLUMNS, SyntheticClicks, SyntheticClicksConfig
from pipelines.datasets.synthetic_clicks.equation import Effects, click_logit_parts, true_probabilities
from pipelines.datasets.synthetic_clicks.schema import schema
from pipelines.datasets.synthetic_clicks.simulate import simulate, split_by_time

# What every data set of `pipelines.datasets` offers under the same name.
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
