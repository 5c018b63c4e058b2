"""KuaiRand-Pure: impressions of a short-video app, as a TensorFlow Datasets builder.

What becomes of each impression:

Split
    By the log's `date`: train 25 to 29 April 2022, validation 30 April, test 1 to 8 May. Earlier rows are
    never examples; they count in histories and rates.
No look ahead
    Histories, and whatever is counted in them, hold the user's events with a strictly smaller `time_ms`.
    Rates and shares hold events of strictly earlier days. Neither the outcome of an impression nor anything
    later is in its features. The history of `raw` and `both` is stricter still: what became of an event is known once
    it has been played, at `time_ms + play_time_ms`.
Configurations
    `by_date`, the default: published features, numbers counted in the log before the impression, and three histories
    of ids. `raw`: published features alone, and one history, `watched`, whose events say what became of them; rates
    are for the model to find. `both`: this history, and the numbers of `by_date` beside it. All hold the same
    impressions in the same order.

Rules for the rough edges of the published files:

- Rows that repeat (user, video, time) are one impression; the first one logged is kept.
- An empty cell is a missing value: -1 for codes, `""` for words, NaN for numbers.
- A video duration of 0 means "not known" and is missing.
- `tag` is a list such as `"12,34"`: all of them are the feature `tag`; an event of a history, and the rates of
  tags, take the first one.
- A video or user that its feature table does not list keeps its id; its other features are missing.
- `is_live_streamer` holds -124 for most users: a category like any other.
- Codes may be written as floats (`1.0`).
- Where the log has impressions up to 24 April, they begin the histories. Where it has none, the optional table
  `user_sequences_until_20220424.parquet` does: its events take the time of the user's last one, so they are
  only seen after that, and count in long-view rates as a day before all others.
"""

from pipelines.datasets.kuairand_pure.builder import KuairandPure, KuairandPureConfig
from pipelines.datasets.kuairand_pure.schema import schema

# What every data set of `pipelines.datasets` offers under the same name.
Builder = KuairandPure
PROBABILITY_COLUMNS: dict[str, str] = {}

__all__ = ["PROBABILITY_COLUMNS", "Builder", "KuairandPure", "KuairandPureConfig", "schema"]
