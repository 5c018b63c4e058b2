"""Named variants for `pipelines.ablate`."""
