"""TaobaoAd_x1: clicks on display ads at Taobao over eight days, in the layout of the public benchmark.

`train.csv` and `test.csv` have 21 columns: `clk`, three histories, nine of the user, five of the ad, `price`, `pid`
(where the ad was shown) and `btag`, which is 1 in every row. The histories `cate_his`, `brand_his` and `btag_his` are
aligned lists such as `1^1^2` of the user's last 50 behaviours: category, brand, and whether it was a view, a cart, a
favourite or a purchase.

Rules:

- The files were made by leaving zeros, which are padding, out of each list by itself. Where an event lacks one of the
  three, its lists differ in length. They are then aligned at the latest event, as the benchmark's padding in front
  does, and what lacks is missing (-1). Lists are taken as oldest first.
- Values seen fewer than ten times are out of vocabulary, as in the benchmark. Its threshold looks at every column by
  itself; here columns that share a table are counted together.
- Validation: without a `valid.csv`, the last twentieth of the rows of `train.csv`, which are taken as ordered by time.
"""

from pipelines.datasets.taobao_ad.builder import TaobaoAd
from pipelines.datasets.taobao_ad.schema import schema

# What every data set of `pipelines.datasets` offers under the same name.
Builder = TaobaoAd
PROBABILITY_COLUMNS: dict[str, str] = {}

__all__ = ["PROBABILITY_COLUMNS", "Builder", "TaobaoAd", "schema"]
