"""DIN and DCNv2 of this package and of FuxiCTR, trained on the same examples: are ours as good as the well-known ones?

`python -m benchmarks.peers_quality --config pipelines/configs/trivago.yaml --data-dir DIR/trivago --output FILE.json`
trains each with several seeds and prints AUC and gAUC of the test split. It needs `pip install fuxictr torch`; the
models are those of its `model_zoo.LongCTR`. Of the configuration, the section `dataset` counts.

The same for both:

- Rows, their order at each seed and epoch, and encoded ids: `benchmarks.peers.shared_inputs` leaves out what one of the
  two cannot read. All numbers make one token by one linear map, a bucket of a number and an id one each.
- Embeddings of one width from N(0, 1e-4), FuxiCTR's start (ours is 0.05 unless told). Batches of 1024, binary
  cross-entropy, Adam at 0.001 for all weights, whole tables included, with epsilon 1e-8; no decay, regulariser, dropout
  or clipping. The epoch with the best AUC of the validation split is judged, by the same code.
- DIN: one attention network over `[target, event, target - event, target * event]` with one hidden layer of 36, swish,
  whose outputs weigh the events without a softmax; a tower of 128 and 64, ReLU. FuxiCTR's Dice is left out, as ours has
  none.
- DCNv2: the mean of the events; three cross layers with full matrices beside an MLP of 128 and 64, ReLU, and one linear
  layer on both.

From the same weights both give the same scores, and learn alike, but for the first difference: `tests/benchmarks`.

What differs:

- DCNv2: ours maps the mean of the events, whose fields stand side by side, to one token; FuxiCTR crosses it as it is.
- Kernels start uniform (Glorot), or, in cross layers, from a normal distribution cut off at two deviations; FuxiCTR's
  from a normal distribution of the same variance. Ours starts at the base rate, FuxiCTR at one half.
- PyTorch adds epsilon behind the correction of Adam's second moment, Keras before it.
"""

import argparse
import gc
import importlib.util
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.peers.contenders import CONTENDERS
from benchmarks.peers.shared_inputs import readable_by_both
from benchmarks.results import write
from pipelines.config import SPLITS, load_config
from pipelines.input import Source, evaluation_dataset, open_source, training_dataset
from tf_interformer import FeatureSchema
from tf_interformer._keras import keras
from tf_interformer.command import run_command
from tf_interformer.metrics import ranking_metrics
from tf_interformer.preprocessing import Preprocessor

MODELS, METRICS = ("din", "dcn_v2"), ("auc", "gauc")
BATCH_SIZE = 1024


class Work:
    """The examples that all see.

    Args:
        source: `Source`.
        rows: int or None. Training examples of an epoch at most. Defaults to `None`, all.
    """

    def __init__(self, source: Source, rows: int | None = None) -> None:
        self.source = source
        declared, self.examples = readable_by_both(source.schema), 0
        self.schema = declared.learn(self._counted(declared))
        self.steps = min(self.examples, rows or self.examples) // BATCH_SIZE
        self.preprocessor = Preprocessor(self.schema)
        self.held = {split: self._kept(split) for split in SPLITS[1:]}

    def _counted(self, schema: FeatureSchema) -> Iterable[Any]:
        for batch in self.source.raw_batches("train", 8192, schema=schema).as_numpy_iterator():
            self.examples += len(batch[schema.tasks[0]])
            yield batch

    def _kept(self, split: str) -> list[tuple[Any, ...]]:
        data = evaluation_dataset(self.source, self.preprocessor, split, BATCH_SIZE)
        return list(data.as_numpy_iterator())

    def epoch(self, seed: int, epoch: int) -> Any:
        """Returns the batches of one pass, in an order that depends on these two."""
        order = seed + 1000 * epoch
        data = training_dataset(self.source, self.preprocessor, BATCH_SIZE, examples=self.examples, seed=order)
        return data.take(self.steps)

    def metrics(self, split: str, scores: np.ndarray, from_logits: bool) -> dict[str, float]:
        """AUC and gAUC of a split.

        Args:
            split: `validation` or `test`.
            scores: array `[examples]`.
            from_logits: bool. Whether they are logits, not probabilities.
        """
        held, task = self.held[split], self.schema.tasks[0]
        labels = np.concatenate([labels[task].reshape(-1) for _, labels, _ in held])
        groups = np.concatenate([others["group"] for *_, others in held]) if self.schema.group else None
        found = ranking_metrics(labels, scores, groups=groups, from_logits=from_logits)
        return {name: found[name] for name in METRICS}


def run(work: Work, model: str, package: str, seed: int, epochs: int) -> dict[str, float]:
    """Test metrics of one training, at the epoch that is best on the validation split, which is `"epoch"`.

    Args:
        work: `Work`.
        model: `din` or `dcn_v2`.
        package: `tf_interformer` or `fuxictr`.
        seed: int. Of the weights and the order of the examples.
        epochs: int.
    """
    contender = CONTENDERS[package](work.schema, model, seed)
    best: dict[str, float] = {}
    for epoch in range(epochs):
        contender.train(work.epoch(seed, epoch))
        validation = work.metrics("validation", contender.scores(work.held["validation"]), contender.logits)["auc"]
        if not best or validation > best["validation_auc"]:
            test = work.metrics("test", contender.scores(work.held["test"]), contender.logits)
            best = {"epoch": epoch + 1, "validation_auc": validation, **test}
    keras.backend.clear_session()
    gc.collect()
    return best


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows as Markdown: mean and standard deviation over the seeds.

    Args:
        rows: dicts with `model`, `package`, and a list of values for each metric.
    """
    lines = ["| model | package | test AUC | test gAUC |", "|---|---|---|---|"]
    for row in rows:
        cells = [row["model"], row["package"], *(_spread(row[name]) for name in METRICS)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.4f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.4f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers_quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="YAML configuration; see pipelines/configs")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--data-dir", metavar="DIR", help="folder with the data set's files, where it needs them")
    parser.add_argument("--prepared-dir", metavar="DIR", help="where built data sets are kept "
                        "(default: TFDS_DATA_DIR or ~/tensorflow_datasets)")  # fmt: skip
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--packages", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each (default: 3)")
    parser.add_argument("--epochs", type=int, default=2, metavar="N", help="passes of each (default: 2)")
    parser.add_argument("--rows", type=int, metavar="N", help="training examples of an epoch at most (default: all)")
    parser.add_argument("--threads", type=int, metavar="N", help="of PyTorch (default: its own)")
    given = parser.parse_args(arguments)
    missing = [name for name in ("fuxictr", "torch") if importlib.util.find_spec(name) is None]
    if "fuxictr" in given.packages:
        if missing:
            parser.error(f"not installed: {', '.join(missing)}: pip install fuxictr torch")
        prepare_torch(given.threads)
    dataset = load_config(given.config).dataset
    work = Work(open_source(dataset, given.data_dir, given.prepared_dir), given.rows)
    rows = []
    for model in given.models:
        for package in given.packages:
            seeds = tqdm(range(given.seeds), desc=f"{model} {package}", disable=None)
            runs = [run(work, model, package, seed, given.epochs) for seed in seeds]
            rows.append({"model": model, "package": package} | {name: [run[name] for run in runs] for name in runs[0]})
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    settings = {"dataset": work.schema.name, "examples": work.examples, "steps": work.steps, "epochs": given.epochs}
    settings |= {"features": [feature.name for feature in work.schema.features]}
    settings |= {"history": [field.name for field in work.schema.sequences[0].fields]}
    print(table(rows))
    write(given.output, {"settings": settings, "rows": rows})


def prepare_torch(threads: int | None = None) -> None:
    """Let PyTorch and FuxiCTR be imported beside TensorFlow.

    Args:
        threads: int or None. Of PyTorch. Defaults to `None`, its own choice.
    """
    from benchmarks.peers.torch_imports import without_ray, without_triton

    without_triton()
    without_ray()
    import torch

    if threads:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    sys.exit(run_command(main))
