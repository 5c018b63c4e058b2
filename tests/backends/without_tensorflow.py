"""Runs a module as if TensorFlow were not installed: `python -m tests.backends.without_tensorflow MODULE ARGUMENTS`."""

import runpy
import sys
from typing import Any

HIDDEN = {"tensorflow", "tf_keras", "tensorflow_recommenders", "tensorflow_datasets"}


class WithoutTensorFlow:
    """A finder of modules that does not find what is hidden."""

    def __init__(self, finder: Any) -> None:
        self.finder = finder

    def find_spec(self, name: str, *others: Any) -> Any:
        return None if name.partition(".")[0] in HIDDEN else self.finder.find_spec(name, *others)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.finder, name)


if __name__ == "__main__":
    sys.meta_path[:] = map(WithoutTensorFlow, sys.meta_path)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    assert not HIDDEN & set(sys.modules)
