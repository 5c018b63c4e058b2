"""AmazonElectronics_x1: reviews of electronics at Amazon, in the layout of the public benchmark.

`train.csv` and `test.csv` have the columns `label, user_id, item_id, cate_id, item_history, cate_history`; a history is
a list such as `12^7^903`, oldest first. An example asks whether the user reviews `item_id` next; each positive has a
negative drawn at random. The last item of every user is the test split.

Rules:

- The features are the two of the item and the history; `user_id` only groups the impressions for gAUC.
- Histories keep the latest 100 events. The benchmark pads these behind, and cuts them behind as well: of longer
  histories it keeps the first 100.
- Validation: without a `valid.csv`, all rows of the users whose id is a multiple of 20. As the user is no feature,
  nothing of them is in training.
"""

from pipelines.datasets.amazon_electronics.builder import AmazonElectronics
from pipelines.datasets.amazon_electronics.schema import schema

# What every data set of `pipelines.datasets` offers under the same name.
Builder = AmazonElectronics
PROBABILITY_COLUMNS: dict[str, str] = {}

__all__ = ["PROBABILITY_COLUMNS", "AmazonElectronics", "Builder", "schema"]
