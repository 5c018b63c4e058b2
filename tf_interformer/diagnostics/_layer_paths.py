"""Names of the layers inside a model, the same in both Kerases."""

from collections.abc import Iterator, Mapping
from typing import Any

from tf_interformer._keras import keras


def layer_paths(root: Any) -> dict[Any, str]:
    """Returns a unique path such as `"backbone/block_0/attention"` for every layer below `root`, and for `root`.

    A layer goes by the attribute that holds it, or by its name where a list or dict does.
    """
    paths = {root: root.name}
    _walk(root, "", paths, set(paths.values()))
    return paths


def _walk(layer: Any, prefix: str, paths: dict[Any, str], taken: set[str]) -> None:
    for name, child in _children(layer):
        if child in paths:
            continue
        path, number = prefix + name, 1
        while path in taken:
            path, number = f"{prefix}{name}_{number}", number + 1
        paths[child] = path
        taken.add(path)
        _walk(child, f"{path}/", paths, taken)


def _children(layer: Any) -> Iterator[tuple[str, Any]]:
    for name, value in vars(layer).items():
        if name.startswith("_"):
            continue
        if isinstance(value, keras.layers.Layer):
            yield name, value
        elif isinstance(value, (list, tuple)):
            yield from ((item.name, item) for item in value if isinstance(item, keras.layers.Layer))
        elif isinstance(value, Mapping):
            yield from ((item.name, item) for item in value.values() if isinstance(item, keras.layers.Layer))
    if isinstance(layer, keras.Model):
        yield from ((child.name, child) for child in layer.layers)
