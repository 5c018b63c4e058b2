"""What is measured on a GPU."""

from dataclasses import asdict, dataclass
from typing import Any

DTYPES = ("float32", "bfloat16")
ROWS = 4096
# Scores of an attention over long histories take `rows * events ** 2` numbers a head, so batches get smaller.
MOST_SCORES = 170_000_000


@dataclass(frozen=True)
class Case:
    """A layer or a model, and its size.

    Attributes:
        kind: `interformer` or `hiformer`, a whole training step; or a layer: `sequence_arch`, `interaction_arch`,
            `hiformer_block`, `cross_arch`.
        what: `train`, a step; or, of a layer, `gradient`, forward and backward, or `forward`.
        dtype: `float32` or `bfloat16`, which for a model is the policy mixed_bfloat16.
        width: Of the tokens.
        events: Of each history; 0 where there is none.
        rows: Of the batch.
        layers: Of a model.
    """

    kind: str
    what: str
    dtype: str
    width: int
    events: int
    rows: int = ROWS
    layers: int = 3

    @property
    def name(self) -> str:
        events = f" x {self.events}" if self.events else ""
        return f"{self.kind} {self.what} {self.dtype} {self.width}{events}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


MODELS = (("interformer", 64, 50), ("interformer", 256, 50))
LAYERS = (
    *(("sequence_arch", width, events) for width, events in ((64, 50), (128, 200), (64, 1000))),
    *(("cross_arch", width, events) for width, events in ((64, 50), (128, 200))),
    *(("interaction_arch", width, 0) for width in (64, 256)),
    *(("hiformer_block", width, 0) for width in (64, 256)),
)
MORE_MODELS = (
    ("hiformer", 64, 50),
    ("interformer", 64, 1000),
    ("hiformer", 256, 50),
    ("interformer", 64, 200),
    ("interformer", 128, 50),
)
MORE_LAYERS = (
    ("sequence_arch", 256, 50),
    ("cross_arch", 256, 50),
    ("sequence_arch", 128, 1000),
    ("interaction_arch", 128, 0),
    ("hiformer_block", 128, 0),
)


def cases() -> list[Case]:
    """All cases, what tells most first: what no longer fits into the time is at the end."""
    groups = [("train", MODELS), ("gradient", LAYERS), ("train", MORE_MODELS), ("gradient", MORE_LAYERS)]
    return [
        Case(kind, what, dtype, width, events, _rows(events))
        for what, group in [*groups, ("forward", LAYERS)]
        for kind, width, events in group
        for dtype in DTYPES
    ]


def small_cases() -> list[Case]:
    """One of each kind, so small that a processor computes it at once."""
    layers = ("sequence_arch", "cross_arch", "interaction_arch", "hiformer_block")
    made = [Case(kind, "gradient", "float32", 8, 0 if kind.startswith(("inter", "hi")) else 6, 16) for kind in layers]
    made.append(Case("sequence_arch", "forward", "bfloat16", 8, 6, 16))
    made.append(Case("interformer", "train", "float32", 8, 6, 16, layers=1))
    return [*made, Case("hiformer", "train", "bfloat16", 8, 6, 16, layers=1)]


def _rows(events: int) -> int:
    rows = ROWS
    while rows * events**2 > MOST_SCORES:
        rows //= 2
    return rows
