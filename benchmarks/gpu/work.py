"""The arithmetic of a JAX program, and the least that it must move."""

import math
from collections.abc import Iterator
from typing import Any


def multiplications(program: Any) -> int:
    """Returns how many multiplications the matrix products of a program take; the FLOPs are twice as many.

    What no output needs is left out, as XLA leaves it out.

    Args:
        program: What `jax.make_jaxpr(function)(*arguments)` returns, or the `jaxpr` of a traced function.

    Raises:
        ValueError: If it has a loop of unknown length with matrix products in it.

    Example:

    >>> import jax, numpy as np
    >>> multiplications(jax.make_jaxpr(lambda x: x @ x.T)(np.ones((4, 3))))
    48
    """
    program = getattr(program, "jaxpr", program)
    total = 0
    needed = set(_variables(program.outvars))
    for step in reversed(program.eqns):
        if needed.isdisjoint(step.outvars):
            continue
        needed.update(_variables(step.invars))
        inner = sum(map(multiplications, _inside(step.params)))
        kind = step.primitive.name
        if kind == "dot_general":
            total += _of_product(step)
        elif kind == "scan":
            total += inner * step.params["length"]
        elif kind == "while" and inner:
            raise ValueError("cannot count the matrix products of a loop whose length is not known")
        elif kind == "cond":
            total += max(map(multiplications, step.params["branches"]))
        else:
            total += inner
    return total


def _variables(atoms: Any) -> Iterator[Any]:
    return (atom for atom in atoms if not hasattr(atom, "val"))  # a literal has one


def _inside(params: dict[str, Any]) -> Iterator[Any]:
    for value in params.values():
        for part in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(part, "eqns") or hasattr(getattr(part, "jaxpr", None), "eqns"):
                yield part


def _of_product(step: Any) -> int:
    (contracted, _), _ = step.params["dimension_numbers"]
    shape = step.invars[0].aval.shape
    return math.prod(step.outvars[0].aval.shape) * math.prod(shape[axis] for axis in contracted)


def bytes_of(*nests: Any) -> int:
    """Returns the bytes of all arrays in some nests: read once, or written once, they must be."""
    import jax

    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(nests))
