"""What became of a model."""

from dataclasses import dataclass, field
from typing import Any

from tf_interformer.compression.projection_report import ProjectionReport


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


def _arrow(before: int, after: int) -> str:
    return f"{before:,} -> {after:,}"
