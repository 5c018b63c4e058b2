"""The models of others, to compare with: a file each, named after the model."""
