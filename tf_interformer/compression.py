"""Smaller models from trained ones: composite projections replaced by their best low-rank factors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tf_interformer._keras import keras, ops
from tf_interformer.backbones import Hiformer, InterFormer
from tf_interformer.diagnostics._layer_paths import layer_paths
from tf_interformer.layers.composite_attention import CompositeAttention
from tf_interformer.layers.composite_projection import CompositeProjection
from tf_interformer.layers.hiformer_block import HiformerBlock
from tf_interformer.layers.interactions.hiformer import HiformerInteraction
from tf_interformer.ranker import Ranker

Stack = Any  # what has `blocks`: Hiformer or HiformerInteraction


@dataclass(frozen=True)
class ProjectionReport:
    """What became of one composite projection.

    Attributes:
        path: str. Such as `"backbone/block_0/attention/key"`.
        spectrum: array `[1, min(L d, H M d_k)]`. The singular values of the matrix, largest first; with
            `rank_per_head`, `[H, min(L d, M d_k)]`, those of each head's.
        rank: int or `None`. Its rank now; `None` means a full matrix.
        energy: float. The share of the squared singular values that is kept, in the matrix that loses most.
        before: int. Multiplications per example, which are as many as its weights.
        after: int. The same, now.

    Example:

    >>> ProjectionReport("key", np.array([[2.0, 1.0]]), rank=1, energy=0.8, before=40, after=14).path
    'key'
    """

    path: str
    spectrum: NDArray[np.floating]
    rank: int | None
    energy: float
    before: int
    after: int


@dataclass(frozen=True)
class CompressionReport:
    """What `low_rank` did.

    Attributes:
        projections: list of `ProjectionReport`.
        parameters: `(before, after)`. All weights of the model, embedding tables included.
        multiplications: `(before, after)`. Per example, in the attentions and feed-forward networks of all Hiformer
            blocks: projections, scores and weighted sums.
        max_error: float or `None`. The largest absolute difference of an output on the batch that was given: of a
            probability for a `Ranker`.
        mean_error: float or `None`. The mean one.

    Example:

    >>> projection = ProjectionReport("key", np.array([[2.0, 1.0]]), rank=1, energy=0.8, before=40, after=14)
    >>> report = CompressionReport([projection], parameters=(100, 74), multiplications=(90, 64))
    >>> print(report.table())
    projection  size  rank  energy kept  multiplications
    key            2     1      80.000%         40 -> 14
    all blocks                                  90 -> 64 (-28.9%)
    parameters                                 100 -> 74 (-26.0%)
    """

    projections: list[ProjectionReport]
    parameters: tuple[int, int]
    multiplications: tuple[int, int]
    max_error: float | None = field(default=None)
    mean_error: float | None = field(default=None)

    def table(self) -> str:
        """Returns the report as text."""
        width = max(len("projection"), *(len(p.path) for p in self.projections))
        number = max(15, *(len(_arrow(*pair)) for pair in (self.parameters, self.multiplications)))
        lines = [f"{'projection':<{width}}  size  rank  energy kept  {'multiplications':>{number}}"]
        for p in self.projections:
            rank = "full" if p.rank is None else p.rank
            arrow = _arrow(p.before, p.after)
            lines.append(
                f"{p.path:<{width}}  {p.spectrum.shape[1]:>4}  {rank:>4}  {p.energy:>11.3%}  {arrow:>{number}}"
            )
        for name, (before, after) in (("all blocks", self.multiplications), ("parameters", self.parameters)):
            lines.append(
                f"{name:<{width}}  {'':>23}  {_arrow(before, after):>{number}} ({(after - before) / before:+.1%})"
            )
        if self.max_error is not None:
            lines.append(f"error of the outputs: at most {self.max_error:.2e}, {self.mean_error:.2e} on average")
        return "\n".join(lines)

    def plot(self, path: Any = None) -> Any:
        """Draws the spectra with the ranks, see `diagnostics.plot_spectra`."""
        from tf_interformer.diagnostics.spectrum_plot import plot_spectra

        ranks = {p.path: p.rank for p in self.projections if p.rank is not None}
        return plot_spectra({p.path: p.spectrum for p in self.projections}, ranks, path)


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
    stacks = _stacks(model)
    factors = {
        projection: _Factors(projection)
        for stack in stacks
        for block in stack.blocks
        for projection in _projections(block.attention, "k") + _projections(block.attention, "v")
    }
    ranks: dict[str, list[int | None]] = {}
    for group in ("k", "v"):
        ranks[group] = []
        for i in range(stacks[0].num_layers):
            together = [factors[p] for stack in stacks for p in _projections(stack.blocks[i].attention, group)]
            old = getattr(stacks[0].blocks[i], f"rank_{group}")
            ranks[group].append(rank or _rank_for(energy, together, old))
    smaller = _with_ranks(model, ranks["k"], ranks["v"])
    _copy_weights(model, smaller, factors)

    paths, new_stacks = layer_paths(model), _stacks(smaller)
    reports = []
    for old_stack, new_stack in zip(stacks, new_stacks, strict=True):
        for old_block, new_block in zip(old_stack.blocks, new_stack.blocks, strict=True):
            for group in ("k", "v"):
                pairs = zip(
                    _projections(old_block.attention, group), _projections(new_block.attention, group), strict=True
                )
                reports += [factors[old].report(paths[old], new) for old, new in pairs]
    errors = _errors(model, smaller, batch) if batch is not None else (None, None)
    return smaller, CompressionReport(
        projections=reports,
        parameters=(model.count_params(), smaller.count_params()),
        multiplications=(_multiplications(stacks), _multiplications(new_stacks)),
        max_error=errors[0],
        mean_error=errors[1],
    )


class _Factors:
    """The singular value decomposition of a projection's matrix, or of every head's."""

    def __init__(self, projection: CompositeProjection) -> None:
        self.number = projection.num_heads if projection.rank_per_head else 1
        if projection.rank is None:
            matrices = self._split(np.asarray(projection.kernel.numpy(), np.float64))
        else:
            left = np.asarray(projection.left_kernel.numpy(), np.float64)
            right = np.asarray(projection.right_kernel.numpy(), np.float64)
            matrices = np.matmul(self._split(left), right)
        self.rows, self.columns = matrices.shape[1:]
        self.projection = projection
        self.left, self.spectrum, self.right = np.linalg.svd(matrices, full_matrices=False)

    def _split(self, kernel: NDArray[np.floating]) -> NDArray[np.floating]:
        """`[rows, number * columns] -> [number, rows, columns]`."""
        return kernel.reshape(kernel.shape[0], self.number, -1).transpose(1, 0, 2)

    def kept(self, rank: int) -> float:
        squares = self.spectrum**2
        totals = squares.sum(axis=1)
        shares = squares[:, :rank].sum(axis=1) / np.where(totals > 0, totals, 1.0)
        return float(np.where(totals > 0, shares, 1.0).min())

    def rank_for(self, energy: float) -> int:
        squares = self.spectrum**2
        # Sums from the small end keep the last digits, on which an energy near 1 depends.
        lost = np.cumsum(squares[:, ::-1], axis=1)[:, ::-1]  # by a rank of 0, 1, ...
        enough = np.count_nonzero(lost > (1.0 - energy) * lost[:, :1], axis=1)
        return max(1, int(enough.max()))

    def multiplications(self, rank: int | None) -> int:
        if rank is None:
            return self.number * self.rows * self.columns
        return self.number * min(rank, self.rows, self.columns) * (self.rows + self.columns)

    def write(self, target: CompositeProjection) -> None:
        rank = _rank(target)
        roots = np.sqrt(self.spectrum[:, :rank])
        left = (self.left[:, :, :rank] * roots[:, None, :]).transpose(1, 0, 2)
        target.left_kernel.assign(left.reshape(self.rows, -1))
        target.right_kernel.assign((roots[:, :, None] * self.right[:, :rank]).reshape(target.right_kernel.shape))

    def report(self, path: str, new: CompositeProjection) -> ProjectionReport:
        rank = None if new.rank is None else _rank(new)
        return ProjectionReport(
            path=path,
            spectrum=self.spectrum,
            rank=rank,
            energy=self.kept(self.spectrum.shape[1] if rank is None else rank),
            before=self.multiplications(self.projection.rank),
            after=self.multiplications(new.rank),
        )


def _rank(projection: CompositeProjection) -> int:
    """The rank that it has, which may be less than what it was asked for."""
    return int(projection.right_kernel.shape[-2])


def _rank_for(energy: float, together: list[_Factors], old: int | None) -> int | None:
    rank = max(factors.rank_for(energy) for factors in together)
    saves = sum(f.multiplications(rank) for f in together) < sum(f.multiplications(old) for f in together)
    return rank if saves else old


def _stacks(model: Any) -> list[Stack]:
    """The parts of a model that hold Hiformer blocks with composite attention."""
    inner = model.backbone if isinstance(model, Ranker) else model
    stacks = [inner]
    if isinstance(inner, InterFormer):
        stacks = [getattr(arch, "interaction", None) for arch in getattr(inner, "interaction_arches", [])]
    if (
        not stacks
        or not all(isinstance(stack, (Hiformer, HiformerInteraction)) and stack.built for stack in stacks)
        or stacks[0].attention != "composite"
    ):
        raise ValueError(
            "What can be compressed is a Ranker, once built, whose backbone is a Hiformer or an InterFormer with "
            'interaction="hiformer", or such a backbone or a HiformerInteraction itself, with attention="composite". '
            f"Received: {type(inner).__name__}"
        )
    return stacks


def _projections(attention: CompositeAttention, group: str) -> list[CompositeProjection]:
    """The projections that share a rank: the values, or the keys and the composite queries."""
    if group == "v":
        return [attention.value]
    return [attention.query, attention.key] if attention.composite_query else [attention.key]


def _with_ranks(model: Any, rank_k: list[int | None], rank_v: list[int | None]) -> Any:
    """A model of the same configuration with other ranks, built alike."""
    ranks = {"rank_k": rank_k, "rank_v": rank_v}
    config = model.get_config()
    if isinstance(model, Ranker):
        backbone = _config_with_ranks(model.backbone, ranks)
        inner = type(model.backbone).from_config(backbone)
        return type(model).from_config({**config, "backbone": keras.saving.serialize_keras_object(inner)})
    smaller = type(model).from_config(_config_with_ranks(model, ranks))
    smaller.build(_build_shape(model))
    return smaller


def _config_with_ranks(layer: Any, ranks: dict[str, Any]) -> dict[str, Any]:
    config = layer.get_config()
    if not isinstance(layer, InterFormer):
        return {**config, **ranks}
    if isinstance(config["interaction"], str):
        return {**config, "interaction_config": {**(config["interaction_config"] or {}), **ranks}}
    held = config["interaction"]
    return {**config, "interaction": {**held, "config": {**held["config"], **ranks}}}


def _build_shape(layer: Any) -> Any:
    config = layer.get_build_config() or {}
    shape = config.get("input_shape", config.get("shapes_dict"))
    if shape is None:
        raise ValueError(f"The model must have been built by calling it. Received: {type(layer).__name__}")
    return shape


def _copy_weights(model: Any, smaller: Any, factors: Mapping[CompositeProjection, _Factors]) -> None:
    news = [
        projection
        for stack in _stacks(smaller)
        for block in stack.blocks
        for projection in _projections(block.attention, "k") + _projections(block.attention, "v")
    ]
    changed_old, changed_new = set(), set()
    for (old, factor), new in zip(factors.items(), news, strict=True):
        if new.rank == old.rank:
            continue
        factor.write(new)
        changed_old |= {id(weight) for weight in old.weights}
        changed_new |= {id(weight) for weight in new.weights}
    # Both models make their layers in the same order.
    rest = [weight for weight in smaller.weights if id(weight) not in changed_new]
    same = [weight for weight in model.weights if id(weight) not in changed_old]
    for source, target in zip(same, rest, strict=True):
        target.assign(source)


def _multiplications(stacks: list[Stack]) -> int:
    """Per example; every entry of a matrix of these blocks takes part in one multiplication."""
    total = 0
    for stack in stacks:
        for block in stack.blocks:
            total += _matrix_entries(block) + _scores_and_sums(block)
    return total


def _matrix_entries(block: HiformerBlock) -> int:
    matrices = [
        block.attention.output_kernel,
        block.feed_forward.first_kernel,
        block.feed_forward.second_kernel,
        *(weight for group in ("k", "v") for p in _projections(block.attention, group) for weight in p.weights),
    ]
    if not block.attention.composite_query:
        matrices.append(block.attention.query_kernel)
    return sum(int(np.prod(tuple(matrix.shape))) for matrix in matrices)


def _scores_and_sums(block: HiformerBlock) -> int:
    attention = block.attention
    queries, value_width, width = attention.output_kernel.shape
    key = attention.key
    rows = (key.kernel if key.rank is None else key.left_kernel).shape[0]
    return int(queries * (rows // width) * (key.num_heads * key.head_dim + value_width))


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


def _arrow(before: int, after: int) -> str:
    return f"{before:,} -> {after:,}"
