"""The figures as a table."""

from collections.abc import Sequence
from typing import Any


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows as Markdown; PyTorch's times as multiples of ours."""
    lines = [
        "| what | dtype | width | events | rows | ms | GFLOP | GB | of the matrix rate | of the possible | compile s "
        "| torch | torch compiled |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        peers = row["peers"]
        cells = [
            f"{row['kind']} {row['what']}",
            row["dtype"],
            str(row["width"]),
            str(row["events"] or ""),
            f"{row['rows']:,}",
            f"{row['ms']:.3f}",
            f"{2 * row['multiplications'] / 1e9:,.1f}",
            f"{row['bytes'] / 1e9:.2f}",
            f"{row['share_of_matrix_rate']:.1%}",
            f"{row['share_of_floor']:.1%}",
            f"{row['compile_seconds']:.1f}",
            *(f"{peers[peer]['to_ours']:.2f}" if peer in peers else "" for peer in ("torch", "torch_compiled")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
