"""A small web page that shows what a trained ranker does for a user of its log."""

from serving.page.app import page_app
from serving.page.browser import LogBrowser, PageError

__all__ = ["LogBrowser", "PageError", "page_app"]
