"""What small models of each family reach on a small simulated log: a figure to hold later versions to.

`python -m benchmarks.quality --output quality.json` trains each of them with a few seeds,
`tests/benchmarks/test_quality.py` once: a change that costs quality is seen.
"""

import argparse
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.results import write
from pipelines.datasets.synthetic_clicks import schema, simulate, split_by_time
from tf_interformer import FeatureSchema, Ranker
from tf_interformer._keras import keras
from tf_interformer.metrics import ranking_metrics

EXAMPLES, EPOCHS, BATCH_SIZE = 30_000, 3, 128
FAMILIES: dict[str, dict[str, Any]] = {
    "interformer": {},
    "interformer_printed": {"interaction": "dhen", "faithful": True},
    "hiformer": {"num_layers": 1, "num_heads": 2, "rank_k": 16, "rank_v": 32, "ffn_dim": 32},
    "dual_enhanced_attention": {
        "num_layers": 1,
        "num_heads": 2,
        "ffn_dim": 32,
        "combo_config": {"fields": [1, 2, 3, 4], "codebook_size": 2000, "codebook_dim": 8},
    },
    "dcn_v2": {"num_layers": 2, "rank": 16, "deep_units": [32]},
    "din": {"attention_units": [16]},
}


@cache
def _log() -> tuple[FeatureSchema, dict[str, dict[str, Any]]]:
    splits = split_by_time(simulate(EXAMPLES, seed=3))
    declared = schema()
    return declared.learn([splits["train"]]), splits


def train(family: str, seed: int) -> dict[str, float]:
    """AUC and grouped AUC on the validation split, after `EPOCHS` passes.

    Args:
        family: A key of `FAMILIES`.
        seed: int. Of the weights and the order of the examples.
    """
    learned, splits = _log()
    keras.utils.set_random_seed(seed)
    backbone = "interformer" if family.startswith("interformer") else family
    ranker = Ranker(learned, backbone, FAMILIES[family], embedding={"dim": 8}, tower_units=(32,))
    ranker.compile(keras.optimizers.Adam(0.003), jit_compile=False)
    encoded, labels = ranker.preprocessor.training_batch(splits["train"])
    ranker.fit(encoded, labels, epochs=EPOCHS, batch_size=BATCH_SIZE, verbose=0)
    task, held = learned.tasks[0], splits["validation"]
    logits = ranker.predict(ranker.preprocessor(held), batch_size=1024, verbose=0)[task]
    groups = None if learned.group is None else held[learned.group]
    found = ranking_metrics(held[task], np.asarray(logits).reshape(-1), groups=groups, from_logits=True)
    return {name: found[name] for name in ("auc", "gauc")}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--seeds", type=int, default=4, metavar="N", help="runs of each (default: 4)")
    given = parser.parse_args(arguments)
    result: dict[str, Any] = {}
    for family in FAMILIES:
        runs = [train(family, seed) for seed in tqdm(range(given.seeds), desc=family, disable=None)]
        result[family] = {name: [round(run[name], 5) for run in runs] for name in ("auc", "gauc")}
        print(family, {name: f"{np.mean(v):.4f} ± {np.std(v, ddof=1):.4f}" for name, v in result[family].items()})
    write(given.output, result)


if __name__ == "__main__":
    main()
