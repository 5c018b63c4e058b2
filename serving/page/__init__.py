"""A small web page that shows what a trained ranker does for a user of its log."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.page.app import page_app
    from serving.page.browser import LogBrowser, PageError

__all__ = ["LogBrowser", "PageError", "page_app"]

# Loaded when first named: the help of the program needs no TensorFlow.
_MODULES = {"LogBrowser": "browser", "PageError": "browser", "page_app": "app"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
