"""The best single column of a log, and when a model is told to hardly beat it."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.best_column import best_columns, remarks
from tf_interformer.preprocessing import Preprocessor
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, Sequence

ROWS = 3000


def rows(seed, by):
    """Clicks by the item's rate, or the likelier the lower the price; what the user has seen is noise."""
    random = np.random.default_rng(seed)
    item, price = random.integers(0, 6, ROWS), random.normal(size=ROWS)
    score = {"item": 0.9 * np.array([-2, 1, 0, 2, -1, 1])[item], "price": -1.5 * price}[by]
    return {
        "item": np.array([f"i{i}" for i in range(6)], object)[item],
        "user": random.integers(0, 2000, ROWS),
        "price": price.astype(np.float32),
        "seen_item": np.full((ROWS, 3), "i1", object),
        "seen_length": random.integers(0, 4, ROWS),
        "click": (random.random(ROWS) < 1 / (1 + np.exp(1 - score))).astype(np.float32),
    }


class Log:
    """As much of a `Source` as is asked for."""

    def __init__(self, by):
        self.splits = {"train": rows(1, by), "validation": rows(2, by)}
        self.read = 0

    def raw_batches(self, split, batch_size, schema):
        return tf.data.Dataset.from_tensor_slices(self.splits[split]).batch(batch_size)


def schema(log):
    declared = FeatureSchema(
        features=[Categorical("item"), Categorical("user", dtype="int64"), Numeric("price")],
        sequences=[Sequence("seen", fields=[Categorical("item", table="item")], max_length=3)],
        labels=[Label("click")],
    )
    return declared.learn([log.splits["train"]])


def by_pairs(labels, scores):
    """AUC by comparing every click with every other row."""
    higher = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    return (higher > 0).mean() + 0.5 * (higher == 0).mean()


@pytest.mark.parametrize("by", ["item", "price"])
def test_the_column_that_decides(by):
    log = Log(by)
    train, held = log.splits["train"], log.splits["validation"]
    found = best_columns(log, Preprocessor(schema(log)), {"train": ROWS, "validation": ROWS})
    if by == "price":  # the lower the better
        scores = -held["price"]
    else:
        overall = train["click"].mean()
        rates = {
            i: (train["click"][train["item"] == i].sum() + 10 * overall) / ((train["item"] == i).sum() + 10)
            for i in np.unique(train["item"])
        }
        scores = np.array([rates[i] for i in held["item"]])
    assert found == {"click": {"column": by, "auc": pytest.approx(by_pairs(held["click"], scores), abs=1e-6)}}


def test_of_large_splits_some_batches_are_read():
    log = Log("price")
    found = best_columns(log, Preprocessor(schema(log)), {"train": ROWS, "validation": ROWS}, rows=1000)
    held = log.splits["validation"]
    assert found["click"]["auc"] == pytest.approx(by_pairs(held["click"][:1024], -held["price"][:1024]), abs=1e-6)


def test_a_remark_where_the_model_is_hardly_better():
    best = {"click": {"column": "item", "auc": 0.7}, "buy": {"column": "item", "auc": 0.7}}
    metrics = {"validation": {"click": {"auc": 0.7049}, "buy": {"auc": 0.7051}}}
    assert remarks(metrics, best) == [
        "click: the model's validation AUC, 0.7049, is not 0.005 above that of 'item' alone, 0.7000; see "
        "docs/training.md"
    ]
