"""From a click log to a trained ranker: the programs of the training side."""
