"""Runs a module as if TensorFlow were not installed: `python -m tests.backends.without_tensorflow MODULE ARGUMENTS`."""

import runpy
import sys
from importlib.abc import MetaPathFinder
from typing import Any

REFUSED = ("tensorflow", "tf_keras", "tensorflow_recommenders", "tensorflow_datasets")


class Refusal(MetaPathFinder):
    """Finds none of the modules that are refused, and keeps others from finding them."""

    def find_spec(self, name: str, *others: Any) -> None:
        if name.partition(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, Refusal())
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    assert not set(REFUSED) & set(sys.modules)
