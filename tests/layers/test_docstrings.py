"""The examples in the docstrings run and show what they say."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import tf_interformer.backbones
import tf_interformer.layers

MODULES = [
    module.name
    for package in (tf_interformer.layers, tf_interformer.backbones)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"np": np}, optionflags=doctest.ELLIPSIS)
    assert not result.failed
    public = [
        value
        for key, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == name and not key.startswith("_")
    ]
    for value in public:
        if not name.rsplit(".", 1)[-1].startswith("_") and not name.endswith("base"):
            assert ">>>" in (value.__doc__ or ""), f"{value.__name__} has no example"
