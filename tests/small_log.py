"""A small log for tests: two sequences of different lengths, every kind of feature, made by a seed."""

from typing import Any

import numpy as np

from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, Sequence

ITEMS = [f"item_{i}" for i in range(12)]
TAGS = list(range(100, 106))


def declared_schema(labels: tuple[str, ...] = ("click",)) -> FeatureSchema:
    """The schema of `raw_batch`, before anything is learned."""
    return FeatureSchema(
        name="small",
        features=[
            Categorical("item"),
            Categorical("user", dtype="int64", hash_buckets=20),
            Categorical("tags", dtype="int64", max_values=3),
            Categorical("country", embedding_dim=4),
            Numeric("price", transform="log", buckets=4),
            Numeric("age"),
        ],
        sequences=[
            Sequence(
                "viewed",
                fields=[Categorical("item", table="item"), Categorical("tag", dtype="int64", table="tags")],
                max_length=6,
            ),
            Sequence("bought", fields=[Categorical("item", table="item")], max_length=4),
        ],
        labels=[Label(name) for name in labels],
        group="user",
    )


def raw_batch(count: int = 32, seed: int = 0, labels: tuple[str, ...] = ("click",)) -> dict[str, Any]:
    """A raw batch; some histories are empty, some values missing, some users unknown."""
    random = np.random.default_rng(seed)
    viewed, bought = random.integers(0, 7, count), random.integers(0, 5, count)
    viewed[0] = bought[0] = 0
    tags = random.choice(TAGS, (count, 3))
    tags[:, 2] = -1
    price = random.lognormal(2, 1, count).astype(np.float32)
    price[-1] = np.nan
    return {
        "item": random.choice(ITEMS, count).astype(object),
        "user": random.integers(0, 9, count),
        "tags": tags,
        "country": random.choice(["NL", "BR", ""], count).astype(object),
        "price": price,
        "age": random.normal(40, 10, count).astype(np.float32),
        "viewed_item": random.choice(ITEMS, (count, 6)).astype(object),
        "viewed_tag": random.choice(TAGS, (count, 6)),
        "viewed_length": viewed.astype(np.int32),
        "bought_item": random.choice(ITEMS, (count, 4)).astype(object),
        "bought_length": bought.astype(np.int32),
        **{label: random.integers(0, 2, count).astype(np.float32) for label in labels},
    }


def learned_schema(labels: tuple[str, ...] = ("click",)) -> FeatureSchema:
    """The schema with the vocabularies and statistics of one batch."""
    return declared_schema(labels).learn([raw_batch(64, seed=1, labels=labels)])


def matching_schema(labels: tuple[str, ...] = ("click",)) -> FeatureSchema:
    """The same, with a candidate that is compared with what was viewed and bought."""
    config = learned_schema(labels).get_config()
    for sequence in config["sequences"]:
        sequence["match"] = ["item"]
    return FeatureSchema.from_config({**config, "candidate": ["item", "tags", "price"]})
