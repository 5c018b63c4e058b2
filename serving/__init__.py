"""Programs that serve a model, and those that ask it."""
