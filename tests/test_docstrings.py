"""The examples in the docstrings run and show what they say; the defaults are those that they name."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re

import numpy as np
import pytest

import tf_interformer
from tf_interformer._keras import LEGACY

MODULES = [module.name for module in pkgutil.walk_packages(tf_interformer.__path__, "tf_interformer.")]
# Base classes, records and errors, which nobody makes by hand
NO_EXAMPLE = {"Backbone", "Predictions", "GroupedAUC", "SchemaError", "ColumnError", "UserError"}


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


# Of the parts of a schema some defaults depend on what else is given.
@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("tf_interformer.schema")])
def test_defaults_are_those_that_the_docstring_names(name):
    if name.startswith("tf_interformer.tfrs") and not LEGACY:
        pytest.skip("TensorFlow Recommenders needs TF_USE_LEGACY_KERAS=1")
    module = importlib.import_module(name)
    own = [value for value in vars(module).values() if getattr(value, "__module__", None) == name]
    methods = [method for value in own if isinstance(value, type) for method in vars(value).values()]
    for described in [*filter(callable, own), *filter(inspect.isfunction, methods)]:
        told = dict(defaults_told(vars(described).get("__doc__", described.__doc__)))
        defaults = defaults_of(described) if told else {}
        assert {argument: defaults[argument] for argument in told} == told, described.__qualname__


def defaults_told(docstring):
    """Each argument that the section `Args` gives a default, with that."""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", inspect.cleandoc(docstring or ""), re.DOTALL | re.MULTILINE)
    for argument in re.finditer(
        r"^    (\w+): (.*?)(?=^    \S|\Z)", section[1] if section else "", re.DOTALL | re.MULTILINE
    ):
        default = re.search(r"Defaults\s+to\s+`([^`*]+)`", argument[2])
        if default:
            yield argument[1], ast.literal_eval(default[1])


def defaults_of(described):
    """The default of each argument; what a class passes on has that of a class above it."""
    found = {}
    for owner in inspect.getmro(described)[:-1] if isinstance(described, type) else [described]:
        for parameter in inspect.signature(owner).parameters.values():
            found.setdefault(parameter.name, parameter.default)
    return found
