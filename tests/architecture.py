"""Draws what imports what, from the imports themselves: `python -m tests.architecture` puts it into CONTRIBUTING.md."""

import re
from pathlib import Path

import grimp

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
PACKAGES = ("benchmarks", "serving", "pipelines")
# Of `tf_interformer`: what a newcomer looks for. What is left out is small, and private or imported by nearly all.
ROOMS = {
    "command": "command: the programs by name",
    "tfrs": "tfrs: TensorFlow Recommenders",
    "export": "export: SavedModel",
    "run_directory": "run_directory: what a run holds",
    "compression": "compression: low rank after training",
    "evaluation": "evaluation",
    "diagnostics": "diagnostics",
    "ranker": "ranker: the model",
    "preprocessing": "preprocessing: raw columns to ids",
    "embedding": "embedding: ids to tokens",
    "backbones": "backbones: tokens to representations",
    "optimizers": "optimizers",
    "layers": "layers",
    "metrics": "metrics",
    "schema": "schema: what the columns are",
    "arrays": "arrays: NumPy or TensorFlow",
    "columns": "columns: checks of values",
}


def drawn() -> str:
    """The picture, as Mermaid: of a path of imports only its steps are drawn, not its shortcuts."""
    imports = grimp.build_graph(*PACKAGES, "tf_interformer", exclude_type_checking_imports=True)
    edges: dict[str, set[str]] = {room: set() for room in (*PACKAGES, *ROOMS)}
    for module in imports.modules:
        for imported in imports.find_modules_directly_imported_by(module):
            one, other = _room(module), _room(imported)
            if one in edges and other in edges and one != other:
                edges[one].add(other)
    lines = ["flowchart TD", *(f'    {room}["{told}"]' for room, told in ROOMS.items())]
    for room, imported in edges.items():
        behind = set().union(*(_reached(other, edges) for other in imported))
        lines += [f"    {room} --> {other}" for other in sorted(imported - behind)]
    return "\n".join(lines)


def _room(module: str) -> str:
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == "tf_interformer" else package


def _reached(room: str, edges: dict[str, set[str]]) -> set[str]:
    return edges[room].union(*(_reached(other, edges) for other in edges[room]))


def on_page(page: str) -> re.Match[str]:
    """The picture in the text of the page."""
    found = re.search(r"(?<=```mermaid\n).*?(?=\n```)", page, re.DOTALL)
    assert found is not None
    return found


if __name__ == "__main__":
    text = PAGE.read_text()
    place = on_page(text)
    PAGE.write_text(text[: place.start()] + drawn() + text[place.end() :])
