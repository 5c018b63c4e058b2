"""The picture in CONTRIBUTING.md is that of the imports."""

from tests.architecture import PAGE, drawn, on_page


def test_the_picture_is_that_of_the_imports():
    assert on_page(PAGE.read_text())[0] == drawn(), "python -m tests.architecture draws it anew"
