"""A log with every kind of column, and the models whose scores are kept."""

from typing import Any

import numpy as np

from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, Sequence, Vector

ITEMS = [f"item_{i}" for i in range(8)]

TASKS = (Label("click"), Label("buy"))
# DIN's has one label, whose negatives were sampled down.
SAMPLED = (Label("click", negative_rate=0.5),)
# Name -> arguments of the Ranker.
MODELS: dict[str, dict[str, Any]] = {
    "interformer": {"backbone_config": {"num_layers": 1, "num_heads": 2}, "tower_numbers": True},
    "interformer_printed": {"backbone_config": {"num_layers": 1, "num_heads": 2, "rotary": "joint", "faithful": True}},
    "interformer_request": {
        "backbone_config": {"num_layers": 1, "num_heads": 2, "candidate_flow": "request"},
        "tower_numbers": True,
    },
    "hiformer": {
        "backbone": "hiformer",
        "backbone_config": {"num_layers": 2, "num_heads": 2, "rank_k": 2, "rank_v": 4},
        "linear_terms": 1.0,
    },
    "dual_enhanced_attention": {
        "backbone": "dual_enhanced_attention",
        "backbone_config": {"num_heads": 2, "combo_config": {"codebook_size": 32, "codebook_dim": 4}},
    },
    "din": {"backbone": "din"},
    "hstu": {"backbone": "hstu", "backbone_config": {"num_heads": 2}},
    "dcn_v2": {"backbone": "dcn_v2", "backbone_config": {"num_layers": 2, "rank": 8}},
}


def schema(*tasks: Label) -> FeatureSchema:
    """Learned from `rows` and `labels`."""
    declared = FeatureSchema(
        name="golden",
        features=[
            Categorical("item"),
            Categorical("user", dtype="int64", hash_buckets=10),
            Categorical("tags", dtype="int64", max_values=3),
            Categorical("country", embedding_dim=2),
            Categorical("place", dtype="int64"),
            Categorical("shown_at", dtype="int64", serve_as=1),
            Numeric("price", transform="log", buckets=4),
            Numeric("age"),
            Vector("picture", dim=3),
        ],
        sequences=[
            Sequence(
                "seen",
                fields=[
                    Categorical("item", table="item"),
                    Categorical("place", dtype="int64", table="place"),
                    Numeric("seconds_ago", transform="log"),
                ],
                max_length=5,
                match=["item"],
                distance=["place"],
            ),
            Sequence("bought", fields=[Categorical("item", table="item")], max_length=3),
        ],
        labels=tasks,
        candidate=["item", "tags", "price", "place", "picture"],
        group="user",
    )
    return declared.learn([{**rows(), **labels()}])


def rows(count: int = 24, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    price = random.lognormal(2, 1, count).astype("float32")
    price[3] = np.nan
    tags = random.integers(100, 105, (count, 3))
    tags[:, 2] = -1
    return {
        "item": random.choice(ITEMS, count).astype(object),
        "user": random.integers(0, 9, count),
        "tags": tags,
        "country": random.choice(["NL", "BR", ""], count).astype(object),
        "place": random.integers(1, 6, count),
        "shown_at": random.integers(1, 4, count),
        "price": price,
        "age": random.normal(40, 10, count).astype("float32"),
        "picture": random.normal(size=(count, 3)).astype("float32"),
        "seen_item": random.choice(ITEMS, (count, 5)).astype(object),
        "seen_place": random.integers(1, 6, (count, 5)),
        "seen_seconds_ago": random.lognormal(4, 2, (count, 5)).astype("float32"),
        "seen_length": random.integers(0, 6, count).astype("int32"),
        "bought_item": random.choice(ITEMS, (count, 3)).astype(object),
        "bought_length": random.integers(0, 4, count).astype("int32"),
    }


def labels(count: int = 24, seed: int = 1) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {name: random.integers(0, 2, count).astype("float32") for name in ("click", "buy")}
