"""From a click log to a trained ranker: the programs of the training side."""

from tf_interformer._quiet_start import import_tensorflow

import_tensorflow()
