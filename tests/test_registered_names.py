"""Keras finds the class of a saved object by its registered name: no two classes have the same."""

import importlib
import inspect
import pkgutil
from collections import defaultdict

import pipelines
import serving
import tf_interformer
from tf_interformer._keras import LEGACY, keras


def test_no_two_classes_or_functions_have_one_name():
    found = defaultdict(set)
    for package in (tf_interformer, pipelines, serving):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith("__main__") or (module.name.startswith("tf_interformer.tfrs") and not LEGACY):
                continue
            for thing in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(thing) or inspect.isfunction(thing):
                    name = keras.saving.get_registered_name(thing)
                    if name != thing.__name__:
                        found[name].add(thing)
    assert len(found) > 50
    assert not {name: things for name, things in found.items() if len(things) > 1}
    for name, (thing,) in found.items():
        assert keras.saving.get_registered_object(name) is thing
