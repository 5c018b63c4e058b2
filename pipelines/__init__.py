"""From a click log to a trained ranker: the programs of the training side."""

from pipelines.quiet_start import import_tensorflow

import_tensorflow()
