"""Globo.com: clicks on the articles of a news portal over sixteen days, as a TensorFlow Datasets builder.

The log holds clicks alone. Each click becomes a *request*: the article that was clicked, label 1, and articles that
were not, label 0.

Request
    The candidates of a request are the articles that anybody clicked in the hour before it and that the user has not
    clicked yet. The click is a request where its article is such a candidate. So neither an article's popularity nor
    the user's history gives the label away: both kinds of examples satisfy the same conditions.
Negatives
    Four clicks of that hour are drawn, each with the same chance, so an article is drawn by its recent popularity. No
    article is in a request twice; where few were clicked there are fewer negatives. The draws depend on the user, the
    article and the moment alone.
Users
    The configuration `tenth` has the requests of a tenth of the users: those whose id has a hash (the finaliser of
    SplitMix64) that, divided by 100, leaves less than 10. Everybody's clicks are candidates, and count for articles.
Split
    By day, which begins at 3:00 UTC, midnight in Brasilia: train 11 to 14 October 2017, validation 15, test 16. Earlier
    days count in histories. The 712 clicks dated after 16 October are left out.
No look ahead
    Histories, counts and candidates hold clicks with a strictly smaller time. As the user has clicked no candidate
    before, an article's clicks in the last hour and day are other users'. An article's creation time and length do
    not depend on clicks. `session_size` counts the whole session, so it is not read. That an article is a negative
    does not depend on what the user clicks later.

Rules for the rough edges of the published files:

- A file of clicks that holds a header only is skipped; one such hour was published.
- Clicks that repeat (user, article, time) are one click.
- Only a user's first click on an article is a request; later ones are in the history.
- An article that the table of articles does not list, or whose cells are empty, has the category -1 (missing), and NaN
  for age and length.
"""

from pipelines.datasets.globo.builder import Globo, GloboConfig
from pipelines.datasets.globo.schema import schema

# What every data set of `pipelines.datasets` offers under the same name.
Builder = Globo
PROBABILITY_COLUMNS: dict[str, str] = {}

__all__ = ["PROBABILITY_COLUMNS", "Builder", "Globo", "GloboConfig", "schema"]
