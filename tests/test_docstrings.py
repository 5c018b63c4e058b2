"""The examples in the docstrings run and show what they say."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import tf_interformer
from tf_interformer._keras import LEGACY

MODULES = [module.name for module in pkgutil.walk_packages(tf_interformer.__path__, "tf_interformer.")]
# Base classes, records and errors, which nobody makes by hand
NO_EXAMPLE = {"Backbone", "Predictions", "GroupedAUC", "SchemaError", "ColumnError"}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    if name.startswith("tf_interformer.tfrs") and not LEGACY:
        pytest.skip("TensorFlow Recommenders needs TF_USE_LEGACY_KERAS=1")
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"np": np}, optionflags=doctest.ELLIPSIS)
    assert not result.failed
    public = [
        value
        for key, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == name and not key.startswith("_")
    ]
    if not name.rsplit(".", 1)[-1].startswith("_"):
        for value in public:
            assert value.__name__ in NO_EXAMPLE or ">>>" in (value.__doc__ or ""), f"{value.__name__} has no example"
