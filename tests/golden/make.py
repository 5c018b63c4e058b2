"""Stores small models and the logits of a few rows: `[TF_USE_LEGACY_KERAS=1] python -m tests.golden.make`.

What is there already stays, since it is what an earlier version wrote: delete a file to have it made anew, and say in
the changelog which saved models then do not load, or score otherwise.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden.log import MODELS, SAMPLED, TASKS, rows, schema
from tests.layer_case import scramble
from tf_interformer import Ranker
from tf_interformer._keras import LEGACY, keras

FOLDER = Path(__file__).parent / ("tf_keras" if LEGACY else "keras3")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, arguments in MODELS.items():
        model = FOLDER / f"{name}.keras"
        if model.exists():
            continue
        keras.utils.set_random_seed(0)
        learned = schema(*(SAMPLED if name == "din" else TASKS))
        ranker = Ranker(learned, embedding={"dim": 4}, tower_units=(6,), **arguments)
        scramble(ranker)
        raw = rows(seed=2)
        logits = {
            task: np.asarray(value)[:, 0].astype(float).tolist() for task, value in ranker.served.logits(raw).items()
        }
        ranker.save(model)
        (FOLDER / f"{name}.json").write_text(
            json.dumps({"rows": plain(raw), "logits": logits}) + "\n", encoding="utf-8"
        )
        print(f"{model}: {model.stat().st_size / 1000:.0f} kB")


def logits(ranker: Ranker, raw: dict[str, Any]) -> dict[str, list[float]]:
    """By task, as they are served."""
    return {task: np.asarray(value, float)[:, 0].tolist() for task, value in ranker.served.logits(raw).items()}


def plain(raw: dict[str, np.ndarray]) -> dict[str, list]:
    """Columns as JSON has them; NaN is null."""
    nan = {name for name, column in raw.items() if column.dtype.kind == "f"}
    return {
        name: np.where(np.isnan(column), None, column.astype(object)).tolist() if name in nan else column.tolist()
        for name, column in raw.items()
    }


if __name__ == "__main__":
    main()
