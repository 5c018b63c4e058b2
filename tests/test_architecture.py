"""What CONTRIBUTING.md says of the tree: the picture is that of the imports, and the tests mirror the packages."""

from pathlib import Path

from tests.architecture import PACKAGES, PAGE, drawn, on_page


def test_the_picture_is_that_of_the_imports():
    assert on_page(PAGE.read_text())[0] == drawn(), "python -m tests.architecture draws it anew"


def test_the_tests_mirror_the_tree():
    tests = Path(__file__).parent
    root, library = tests.parent, tests.parent / "tf_interformer"
    mirrored = {file.parent.relative_to(library) for file in library.rglob("__init__.py")}
    mirrored |= {file.parent.relative_to(root) for name in PACKAGES for file in (root / name).rglob("__init__.py")}
    folders = {file.parent.relative_to(tests) for file in tests.rglob("test_*.py")}
    assert {str(folder) for folder in folders - mirrored} == {"backends", "heavy"}
