"""What the tests of the public benchmark's data sets share."""

import json
from collections.abc import Sequence
from pathlib import Path

import tensorflow_datasets as tfds

from pipelines.building import build_ranker
from pipelines.config import load_config
from pipelines.input import open_source

CONFIGS = Path(__file__).parents[3] / "pipelines" / "configs"


def write_csv(path: Path, rows: list[dict]) -> None:
    """Rows as the benchmark writes them: no quotes, lists joined by ^."""
    lines = [",".join(rows[0])] + [",".join(map(_cell, row.values())) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def _cell(value) -> str:
    return "^".join(map(str, value)) if isinstance(value, list) else str(value)


def prepare(builder_class, manual: Path, folder: Path, config: str | None = None):
    """The builder, with its splits written."""
    builder = builder_class(config=config, data_dir=folder)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual))
    return builder


def examples(builder, split: str) -> list[dict]:
    return list(tfds.as_numpy(builder.as_dataset(split=split)))


def score_by_config(name: str, manual: Path, folder: Path, overrides: Sequence[str] = ()) -> dict:
    """Logits of the untrained model of pipelines/configs/NAME for three examples of the training split."""
    config = load_config(CONFIGS / name, overrides)
    assert json.loads(json.dumps(config.model.backbone_config)) == config.model.backbone_config
    source = open_source(config.dataset, manual, folder)
    batches = list(source.raw_batches("train", 64).as_numpy_iterator())
    schema = source.schema.learn(batches)
    ranker = build_ranker(config, schema, 64)
    return ranker.score({key: value[:3] for key, value in batches[0].items() if key in schema.signature()})
