"""From anybody's click log to a folder that trains, without a line of Python.

    tf-interformer schema infer LOG.csv --output schema.json
    tf-interformer schema split LOG.csv --schema schema.json --output data/mine

`infer` proposes the `FeatureSchema` of a log, warns about columns that give the label away, and leaves a JSON file
that a person can edit. `split` cuts the log by time into the folder that `pipelines.train` reads.
"""
