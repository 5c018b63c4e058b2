"""trivago: hotels shown and clicked out, of the RecSys Challenge 2019, as a TensorFlow Datasets builder.

The log holds what users did in their sessions: searched, filtered, sorted, looked at items, clicked out to an offer. A
click-out names the items of its list, in order, with their prices.

Examples
    One row per item of the list of each click-out whose clicked item is among them; `clicked` is 1 for that item. Rows
    are in the order of time, those of one click-out together, in the order of the list.
Split
    By the time of the click-out: the last fifth of the lists is test, the tenth before it validation. Click-outs of one
    second stay together.
No look ahead
    The history holds the same user's events strictly before the click-out: in the same session of an earlier second,
    or of the same second and a lower step; in another session of an earlier second. The popularity of an item counts
    what *other* users did in strictly earlier seconds.
Configurations
    `default`: all that came before the click. The user looks at the items of the very list that the row is of, and then
    clicks: this is re-ranking while the list is read, the challenge's own task. `strict`: everything is as of the
    moment the list was asked for, which is the session's last search, filter selection or change of sort order before
    the click-out, that action included. Where the session has none, it is the session's first action, which is not
    included. `made` and `strict_made` are the same examples with the numbers made by hand of the history as features.

Rules for the rough edges of the published files:

- Rows that repeat (user, session, time, step, action, reference) are one event.
- Events are in the order of time, then session, then step: a session of the files goes back in time.
- A click-out on an item that is not in its list, or on none, is an event and no example.
- A reference that is no number, such as "unknown", is no item.
- An empty cell is `""`; an event on no item has the item -1.
"""

from pipelines.datasets.trivago.builder import Trivago, TrivagoConfig
from pipelines.datasets.trivago.schema import schema

# What every data set of `pipelines.datasets` offers under the same name.
Builder = Trivago
PROBABILITY_COLUMNS: dict[str, str] = {}

__all__ = ["PROBABILITY_COLUMNS", "Builder", "Trivago", "TrivagoConfig", "schema"]
