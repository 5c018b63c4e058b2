"""What Dual Enhanced Attention claims, on data in which it is planted.

`python -m benchmarks.planted --output planted.json` trains the same small ranker with one part of the attention
switched on and off:

1. *Pairs.* A click depends on the pair of two ids through a random table of +-1, which has no structure but its
   entries. Combo-ID attention can remember an entry; inner products of few dimensions cannot.
2. *Collapse.* Fields of two values among large ones: their tokens span two dimensions at most. The filter should take
   them out of the attention, and the other fields should keep their information abundance. Whether they do is
   printed, not assumed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import write
from tf_interformer import Categorical, FeatureSchema, Label, Ranker
from tf_interformer._keras import keras
from tf_interformer.diagnostics import abundance_of, attention_maps, information_abundance
from tf_interformer.metrics import auc

Batch = tuple[dict[str, NDArray[np.int32]], NDArray[np.float32]]
BATCH_SIZE = 512


def planted_pairs(count: int, values: int, noise_fields: int, seed: int, table_seed: int = 7) -> Batch:
    """Returns ids of the fields `a`, `b`, `noise_0`, .. and labels, by a table of +-1 over the pairs of a and b."""
    rng = np.random.default_rng(seed)
    names = ["a", "b", *(f"noise_{i}" for i in range(noise_fields))]
    ids = {name: rng.integers(2, values + 2, count).astype(np.int32) for name in names}
    table = np.random.default_rng(table_seed).choice([-2.0, 2.0], (values, values))
    logits = table[ids["a"] - 2, ids["b"] - 2]
    labels = rng.random(count) < 1 / (1 + np.exp(-logits))
    return ids, labels.astype(np.float32)


def collapsed_fields(count: int, values: int, large: int, binary: int, seed: int, table_seed: int = 7) -> Batch:
    """Returns ids of fields `binary_i` of two values and `large_i`; each large id has an effect per value of binary_0.

    So the label gives every large field two directions to learn, and the binary fields have no more.
    """
    rng = np.random.default_rng(seed)
    ids = {f"binary_{i}": rng.integers(2, 4, count).astype(np.int32) for i in range(binary)}
    effects = np.random.default_rng(table_seed).normal(0, 1, (large, values, 2))
    logits = np.zeros(count)
    for i in range(large):
        ids[f"large_{i}"] = rng.integers(2, values + 2, count).astype(np.int32)
        logits += effects[i, ids[f"large_{i}"] - 2, ids["binary_0"] - 2]
    labels = rng.random(count) < 1 / (1 + np.exp(-logits))
    return ids, labels.astype(np.float32)


def ranker(ids: dict[str, NDArray[np.int32]], seed: int, dim: int = 16, **backbone: Any) -> Ranker:
    """Returns a compiled ranker of one attention layer for such ids."""
    keras.utils.set_random_seed(seed)
    features = tuple(Categorical(name=name, hash_buckets=int(column.max())) for name, column in ids.items())
    model = Ranker(
        FeatureSchema(features=features, labels=(Label(name="click", mean=0.5),)),
        "dual_enhanced_attention",
        {"num_layers": 1, "num_heads": 2, **backbone},
        embedding={"dim": dim},
        tower_units=(32,),
    )
    model.compile(keras.optimizers.Adam(3e-3), jit_compile=False)
    return model


def train(model: Ranker, data: Batch, epochs: int) -> None:
    ids, labels = data
    model.fit(ids, {"click": labels}, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)


def test_auc(model: Ranker, data: Batch) -> float:
    ids, labels = data
    logits = model.predict(ids, batch_size=4096, verbose=0)["click"][:, 0]
    return float(auc(labels, logits))


def pairs(seed: int, count: int = 40_000, epochs: int = 3, values: int = 60) -> dict[str, float]:
    """Returns the test AUC with Combo-ID attention and with inner products alone, everything else the same."""
    data = planted_pairs(count, values, noise_fields=3, seed=seed)
    held_out = planted_pairs(10_000, values, noise_fields=3, seed=seed + 1000)
    found = {}
    for name, combo in {"combo_id": True, "inner_products": False}.items():
        config: dict[str, Any] = {"combo_config": {"codebook_size": 50_000}} if combo else {}
        model = ranker(data[0], seed, combo=combo, collapse_avoiding=False, **config)
        train(model, data, epochs)
        found[name] = test_auc(model, held_out)
    return found


def collapse(
    seed: int, count: int = 30_000, epochs: int = 3, binary: int = 3, layers: int = 3
) -> dict[str, dict[str, float]]:
    """Returns what becomes of the binary fields and of the abundance of the others, with the filter and without."""
    data = collapsed_fields(count, 100, 5, binary, seed)
    held_out = collapsed_fields(5_000, 100, 5, binary, seed + 1000)
    found = {}
    for name, filter in {"filter": "soft", "no_filter": None}.items():
        model = ranker(
            data[0], seed, combo=False, num_layers=layers, collapse_config={"filter": filter, "refresh_every": 10}
        )
        train(model, data, epochs)
        found[name] = {"auc": test_auc(model, held_out), **_state_of(model, held_out[0], binary)}
    return found


def _state_of(model: Ranker, ids: dict[str, NDArray[np.int32]], binary: int) -> dict[str, float]:
    backbone = model.backbone
    block = backbone.interaction.blocks[0]
    tokens = backbone.entry_norm(model.embedder(ids, training=False)["features"])
    (weights,) = attention_maps(block, tokens).values()
    mask = block.attention.collapse_avoiding
    zeros = np.zeros((1, *weights.shape[1:]), np.float32)
    kept = np.exp(np.asarray(mask({"scores": zeros, "tokens": tokens[:1]}))).mean(axis=(0, 1))
    tables = information_abundance(model)
    large = [name for name in tables if name.startswith("large")]

    def of_large(outputs: Any) -> float:
        return float(np.mean([abundance_of(np.asarray(outputs)[:, i]) for i in range(binary, outputs.shape[1])]))

    return {
        "mask_on_binary": float(kept[binary:, :binary].mean()),
        "mask_between_large": float(kept[binary:, binary:][~np.eye(len(large), dtype=bool)].mean()),
        "attention_to_binary": float(weights.mean(axis=(0, 1))[binary:, :binary].sum(axis=1).mean()),
        "abundance_of_binary_table": tables["binary_0"],
        "abundance_of_large_tables": float(np.mean([tables[name] for name in large])),
        "abundance_of_large_after_first_attention": of_large(block.attention(tokens)),
        "abundance_of_large_after_last_layer": of_large(backbone.interaction(tokens)),
    }


def _lines(title: str, runs: dict[str, list[dict[str, float]]]) -> list[str]:
    """A table: one row per quantity, mean and standard deviation over the seeds for each variant."""
    lines = [title, f"{'':36s}" + "".join(f"{name:>20s}" for name in runs)]
    for key in next(iter(runs.values()))[0]:
        cells = []
        for values in runs.values():
            column = [run[key] for run in values]
            cells.append(f"{np.mean(column):11.3f} ± {np.std(column, ddof=1) if len(column) > 1 else 0:.3f}")
        lines.append(f"{key:36s}" + "".join(f"{cell:>20s}" for cell in cells))
    return [*lines, ""]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(arguments)
    seeds = range(options.seeds)
    planted = [pairs(seed) for seed in seeds]
    lines = _lines("Planted pairs", {name: [{"test_auc": run[name]} for run in planted] for name in planted[0]})
    results: dict[str, Any] = {"pairs": planted}
    results["collapse"] = [collapse(seed) for seed in seeds]
    runs = {name: [run[name] for run in results["collapse"]] for name in results["collapse"][0]}
    lines += _lines("Three of eight fields collapsed", runs)
    print("\n".join(lines))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write(options.output, results)


if __name__ == "__main__":
    main()
