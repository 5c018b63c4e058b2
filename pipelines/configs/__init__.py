"""Configurations of `pipelines.train` and `pipelines.ablate`."""
