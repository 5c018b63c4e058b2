"""KuaiVideo_x1: clicks on short videos at Kuaishou, in the layout of the public benchmark.

`train.csv` and `test.csv` have the columns `timestamp, user_id, item_id, is_click, is_like, is_follow, pos_items,
neg_items`; the last two are lists such as `5^17^2` of videos that the user clicked and did not click, oldest first.
`item_visual_emb_dim64.h5` holds a vector of 64 numbers, made from its cover, for every video.

Rules:

- The published histories are the *first* 100 of a user, not the latest: the files hold no more.
- The video's vector is the feature `item_visual`; it stays as it is, and a linear map from it is learned. A video
  without one has a missing vector. The benchmark's models also see the vectors of the videos in the histories. Here
  they do not: the events of a sequence hold ids only.
- Videos and users seen fewer than ten times are out of vocabulary, as in the benchmark. Its threshold looks at every
  column by itself; here a video's occurrences in the histories count, too.
- Validation: without a `valid.csv`, the last twentieth of the rows of `train.csv`, which are ordered by time.
"""

from pipelines.datasets.kuaivideo.builder import KuaiVideo
from pipelines.datasets.kuaivideo.schema import schema

# What every data set of `pipelines.datasets` offers under the same name.
Builder = KuaiVideo
PROBABILITY_COLUMNS: dict[str, str] = {}

__all__ = ["PROBABILITY_COLUMNS", "Builder", "KuaiVideo", "schema"]
