"""Configurations of `pipelines.compare`."""
