"""What each part of InterFormer is worth: the paper's figures beside ours.

    python -m benchmarks.published_ablations trivago=runs/interformer-ablation-trivago/ablation.json

takes results of `pipelines.ablate` with the variants of `pipelines/configs/ablations/interformer.yaml`, each under the
name of its log, and prints by how much test AUC changes without a part, or with another in its place, as Markdown.

The paper's values (arXiv 2411.09852, Fig. 2, 3 and 5) are read off its figures' pixels, to 0.0001. Its flows are those
around DCNv2, which is nearest to the interaction here; aggregation and parts are its DHEN model's.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.config import ConfigError
from tf_interformer.command import run_command

WHOLE = "interformer"
PAPER_LOGS = ("AmazonElectronics", "TaobaoAds")
# Test AUC on each of the paper's logs: the whole model and its variants, which are held against it, figure by figure.
_FLOWS = {
    WHOLE: (0.8856, 0.6501),
    "flow sole": (0.8731, 0.6461),
    "flow sep": (0.8784, 0.6473),
    "flow n2s": (0.8792, 0.6476),
    "flow s2n": (0.8802, 0.6478),
}
_PARTS = {
    WHOLE: (0.8865, 0.6528),
    "average": (0.8793, 0.6437),
    "mlp": (0.8804, 0.6451),
    "mha": (0.8823, 0.6502),
    "no PMA": (0.8836, 0.6493),
    "no recent tokens": (0.8843, 0.6505),
    "no gates": (0.8854, 0.6498),
    "plain FFN": (0.8863, 0.6511),
    "no attention": (0.8862, 0.6518),
}
# Variant -> its AUC less the whole model's, on each of the logs.
PUBLISHED = {
    name: tuple(auc - whole for auc, whole in zip(aucs, figure[WHOLE], strict=True))
    for figure in (_FLOWS, _PARTS)
    for name, aucs in figure.items()
    if name != WHOLE
}


def differences(found: Mapping[str, Any]) -> dict[str, tuple[float, bool]]:
    """Of each variant the mean test AUC less the whole model's, and whether all seeds of one beat all of the other.

    Args:
        found: What `pipelines.ablate` wrote.
    """
    scores = {row["value"]: row["auc"] for row in found["rows"]}
    missing = [name for name in (WHOLE, *PUBLISHED) if name not in scores]
    if missing:
        raise ConfigError(
            "it must be an ablation with the variants of pipelines/configs/ablations/interformer.yaml. "
            f"Missing: {', '.join(missing)}"
        )
    whole = scores.pop(WHOLE)
    return {
        name: (
            statistics.mean(seeds) - statistics.mean(whole),
            min(whole) > max(seeds) or min(seeds) > max(whole),
        )
        for name, seeds in scores.items()
    }


def table(ours: Mapping[str, Mapping[str, Any]]) -> str:
    """The differences as Markdown, ours in bold where they are beyond the seeds.

    Args:
        ours: Name of a log -> what `pipelines.ablate` wrote.
    """
    columns = {log: differences(found) for log, found in ours.items()}
    lines = [f"| variant | {' | '.join((*(f'{log}, published' for log in PAPER_LOGS), *columns))} |"]
    lines.append("|---" * (1 + len(PAPER_LOGS) + len(columns)) + "|")
    for name, published in PUBLISHED.items():
        cells = [f"{difference:+.4f}" for difference in published]
        for column in columns.values():
            difference, beyond = column[name]
            cells.append(f"**{difference:+.4f}**" if beyond else f"{difference:+.4f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.published_ablations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", nargs="+", metavar="LOG=FILE", help="name of a log, and its ablation.json")
    given = parser.parse_args(arguments)

    def run() -> None:
        ours = {}
        for result in given.results:
            log, equals, path = result.partition("=")
            if not equals:
                raise ConfigError(f"give LOG=FILE, such as trivago=ablation.json. Received: {result}")
            try:
                ours[log] = json.loads(Path(path).read_text(encoding="utf-8"))
                differences(ours[log])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"cannot read the ablation {path}: {error}") from None
        print(table(ours))

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
