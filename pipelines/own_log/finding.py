"""What was found out about one column."""

from dataclasses import dataclass, replace

from tf_interformer.schema import Categorical, Numeric


@dataclass(frozen=True)
class Finding:
    """One row of the table that `infer` prints.

    Args:
        column: Name of the column.
        kind: What the column is proposed to be, as `categorical`, `label` or `left out`.
        distinct: Number of different values; of a list column, in all lists.
        missing: Share of empty cells.
        remark: Why, and what a person might want to know.
        feature: The proposed feature, or field of a sequence; None where the column is none.
        lone_auc: AUC of the column alone; NaN where it was not tried.
        warning: Why the column must be looked at by a person; empty where it need not be.
    """

    column: str
    kind: str
    distinct: int
    missing: float
    remark: str = ""
    feature: Categorical | Numeric | None = None
    lone_auc: float = float("nan")
    warning: str = ""

    def left_out(self, remark: str, warning: str = "") -> "Finding":
        """The same column, left out of the proposal."""
        return replace(self, kind="left out", remark=remark, warning=warning)

    @property
    def is_feature(self) -> bool:
        """Whether the column is part of the proposal as a feature."""
        return self.feature is not None and self.kind != "left out"
