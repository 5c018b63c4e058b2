"""What callers of one version notice of the next."""

from collections.abc import Mapping

from serving.server.signature import Signature


def changes(old: Mapping[str, Signature], new: Mapping[str, Signature]) -> list[str]:
    """How the signatures of a version differ from those of the version before; nothing where none differs.

    Args:
        old: Signatures of the version before, by name.
        new: Those of the next.
    """
    found: dict[str, list[str]] = {}  # what is said -> of which signatures
    for name, before in old.items():
        after = new.get(name)
        if after is None:
            said = ["is gone"]
        else:
            said = [*_between(before, after, "inputs", "input"), *_between(before, after, "outputs", "output")]
        if said:
            found.setdefault(", ".join(said), []).append(name)
    return [f"{' and '.join(repr(name) for name in names)} {said}" for said, names in found.items()]


def _between(old: Signature, new: Signature, what: str, one: str) -> list[str]:
    before, after = getattr(old, what), getattr(new, what)
    said = []
    if gone := [name for name in before if name not in after]:
        said.append(f"no longer has the {one if len(gone) == 1 else what} {_names(gone)}")
    if added := [name for name in after if name not in before]:
        said.append(f"has the new {one if len(added) == 1 else what} {_names(added)}")
    for name, spec in before.items():
        now = after.get(name, spec)
        if (now.dtype, now.shape.rank) != (spec.dtype, spec.shape.rank):
            said.append(f"has {name!r} as {now.dtype.name} {now.shape} instead of {spec.dtype.name} {spec.shape}")
    return said


def _names(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
