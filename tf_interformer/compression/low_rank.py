"""A trained model brought to low rank."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tf_interformer._keras import ops
from tf_interformer.compression._copies import copy_weights, with_ranks
from tf_interformer.compression._costs import multiplications_of
from tf_interformer.compression._factors import Factors
from tf_interformer.compression._stacks import projections_of, stacks_of
from tf_interformer.compression.compression_report import CompressionReport
from tf_interformer.diagnostics._layer_paths import layer_paths
from tf_interformer.ranker import Ranker


def low_rank(
    model: Any, rank: int | None = None, energy: float = 0.99, batch: Any = None
) -> tuple[Any, CompressionReport]:
    """Returns a copy of a trained model whose composite projections are factorised, and a report.

    The matrix of each query, key and value projection, all heads together, is replaced by its truncated singular value
    decomposition, the best approximation of that rank: `U_r S_r^(1/2)` and `S_r^(1/2) V_r^T` (low rank of Hiformer,
    section 3.5.1, found after training instead of before, which is ours). A layer's queries and keys share their
    rank. With `rank_per_head` each head's matrix is decomposed by itself, all to the same rank. All other weights are
    copied. The given model stays as it is.

    The copy is not compiled: `compile` and `fit` it for a little while to win back what the truncation lost.

    Args:
        model: `Ranker`, `Hiformer`, `HiformerInteraction`, or `InterFormer` with `interaction="hiformer"`; built.
        rank: int or `None`. The rank of every projection, cut down to that of its matrix. `None` goes by `energy`.
            Defaults to `None`.
        energy: float in (0, 1]. The rank is the smallest that keeps this share of the squared singular values in
            every matrix, layer by layer; queries and keys, or values, stay as they are where that would not save
            multiplications. Defaults to `0.99`.
        batch: `None`, or what the model is called with (a `Ranker`: an encoded batch), to measure how far outputs
            move. Defaults to `None`.

    Returns:
        `(model, CompressionReport)`.

    Raises:
        ValueError: If the model holds no composite projection, is not built, or an argument is out of range.

    Example:

    >>> from tf_interformer.backbones import Hiformer
    >>> hiformer = Hiformer(num_heads=2)
    >>> tokens = {"features": np.random.rand(3, 6, 8).astype("float32"), "sequences": {}, "lengths": {}}
    >>> trained = hiformer(tokens)
    >>> smaller, report = low_rank(hiformer, rank=4, batch=tokens)
    >>> smaller.rank_k, smaller.count_params() < hiformer.count_params()
    ((4, 4), True)

    Reference:
        [Hiformer, arXiv 2311.05884](https://arxiv.org/abs/2311.05884)
    """
    if rank is not None and (not isinstance(rank, int) or isinstance(rank, bool) or rank < 1):
        raise ValueError(f"`rank` must be an integer of at least 1. Received: rank={rank!r}")
    if not 0.0 < energy <= 1.0:
        raise ValueError(f"`energy` must be a number in (0, 1]. Received: energy={energy!r}")
    stacks = stacks_of(model)
    factors = {
        projection: Factors(projection)
        for stack in stacks
        for block in stack.blocks
        for projection in projections_of(block.attention, "k") + projections_of(block.attention, "v")
    }
    ranks: dict[str, list[int | None]] = {}
    for group in ("k", "v"):
        ranks[group] = []
        for i in range(stacks[0].num_layers):
            together = [factors[p] for stack in stacks for p in projections_of(stack.blocks[i].attention, group)]
            old = getattr(stacks[0].blocks[i], f"rank_{group}")
            ranks[group].append(rank or _rank_for(energy, together, old))
    smaller = with_ranks(model, ranks["k"], ranks["v"])
    copy_weights(model, smaller, factors)

    paths, new_stacks = layer_paths(model), stacks_of(smaller)
    reports = []
    for old_stack, new_stack in zip(stacks, new_stacks, strict=True):
        for old_block, new_block in zip(old_stack.blocks, new_stack.blocks, strict=True):
            for group in ("k", "v"):
                pairs = zip(
                    projections_of(old_block.attention, group), projections_of(new_block.attention, group), strict=True
                )
                reports += [factors[old].report(paths[old], new) for old, new in pairs]
    errors = _errors(model, smaller, batch) if batch is not None else (None, None)
    return smaller, CompressionReport(
        projections=reports,
        parameters=(model.count_params(), smaller.count_params()),
        multiplications=(multiplications_of(stacks), multiplications_of(new_stacks)),
        max_error=errors[0],
        mean_error=errors[1],
    )


def _rank_for(energy: float, together: list[Factors], old: int | None) -> int | None:
    rank = max(factors.rank_for(energy) for factors in together)
    saves = sum(f.multiplications(rank) for f in together) < sum(f.multiplications(old) for f in together)
    return rank if saves else old


def _errors(model: Any, smaller: Any, batch: Any) -> tuple[float, float]:
    before, after = _outputs(model, batch), _outputs(smaller, batch)
    errors = np.concatenate([np.abs(a - b).ravel() for a, b in zip(before, after, strict=True)])
    return float(errors.max()), float(errors.mean())


def _outputs(model: Any, batch: Any) -> list[NDArray[np.floating]]:
    outputs = model(batch)
    by_task = list(outputs.values()) if isinstance(outputs, Mapping) else [outputs]
    if isinstance(model, Ranker):
        by_task = [ops.sigmoid(logits) for logits in by_task]
    return [np.asarray(ops.convert_to_numpy(ops.cast(output, "float64"))) for output in by_task]
