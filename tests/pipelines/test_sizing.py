"""What a configuration leaves to the log."""

import numpy as np
import pytest

from pipelines.config import DatasetConfig, ModelConfig, TrainConfig, TrainingConfig, load_config
from pipelines.sizing import LIST_LOSS, Differences, sized
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric


def schema(ids):
    features = [Categorical("item", dtype="int64", vocabulary=range(ids)), Numeric("price", mean=1.0, std=1.0)]
    return FeatureSchema(features=features, labels=[Label("click", mean=0.1)])


def config(**embedding):
    return TrainConfig(
        dataset=DatasetConfig(name="log"),
        model=ModelConfig(embedding=embedding),
        training=TrainingConfig(batch_size="auto"),
    )


@pytest.mark.parametrize(
    ("examples", "ids", "size", "unknown"),
    [(10_000, 5_000, 256, 0.5), (200_000, 2_000, 1024, 0.2), (10**8, 10**5, 4096, 0.0), (10_000, 20, 256, 0.0)],
)
def test_goes_by_rows_and_rows_per_id(examples, ids, size, unknown):
    made, lines = sized(config(unknown="auto", dim=8), schema(ids), examples)
    assert made.training.batch_size == made.training.rows_at_once == size
    assert made.model.embedding == {"unknown": unknown, "dim": 8}
    assert len(lines) == 2 and str(size) in lines[0] and f"{unknown}, since" in lines[1]


def test_what_is_given_stays():
    given = TrainConfig(dataset=DatasetConfig(name="log"), model=ModelConfig(embedding={"unknown": 0.1}))
    assert sized(given, schema(9), 100) == (given, [])


def test_numbers_only():
    numbers = FeatureSchema(features=[Numeric("price", mean=1.0, std=1.0)], labels=[Label("click", mean=0.1)])
    made, _ = sized(config(unknown="auto"), numbers, 1000)
    assert made.model.embedding == {"unknown": 0.0}


def naive_share(keys, labels):
    """Intraclass correlation, user by user: (B - W) / (B + (n - 1) W) by the mean squares between and within users."""
    users = {key: [label for own, label in zip(keys, labels, strict=True) if own == key] for key in set(keys)}
    mean = sum(labels) / len(labels)
    between = sum(len(own) * (sum(own) / len(own) - mean) ** 2 for own in users.values()) / (len(users) - 1)
    within = sum((y - sum(own) / len(own)) ** 2 for own in users.values() for y in own) / (len(labels) - len(users))
    size = (len(labels) - sum(len(own) ** 2 for own in users.values()) / len(labels)) / (len(users) - 1)
    return max(0.0, (between - within) / (between + (size - 1) * within))


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_the_share_of_the_variance_between_users(spread):
    random = np.random.default_rng(3)
    rate = 0.5 + spread * random.choice([-1, 1], 300)
    user = random.integers(0, 300, 3000)
    label = (random.random(3000) < rate[user]).astype(float)
    differences = Differences()
    for part in range(0, 3000, 700):
        differences.update(user[part : part + 700], label[part : part + 700])
    assert differences.share() == pytest.approx(naive_share(user.tolist(), label.tolist()), abs=1e-9)
    assert differences.share() == pytest.approx(spread**2 / 0.25, abs=0.03)


def test_nobody_differs_from_nobody():
    assert Differences().share() == 0
    alone, alike = Differences(), Differences()
    alone.update(np.arange(9), np.arange(9) % 2)
    alike.update(np.array([b"a", b"a", b"b"], object), np.ones(3))
    assert alone.share() == alike.share() == 0


@pytest.mark.parametrize(("difference", "factor"), [(0.0, 0.0), (0.2, LIST_LOSS)])
def test_the_loss_within_users_goes_by_how_they_differ(difference, factor):
    given = TrainConfig(dataset=DatasetConfig(name="log"), model=ModelConfig(list_loss="auto"))
    keyed = schema(9).model_copy(update={"group": "user_id"})
    made, (line,) = sized(given, keyed, 1000, difference)
    assert made.model.list_loss == factor
    assert f"{factor}, since {difference:.0%}" in line and "user_id" in line
    assert sized(given, schema(9), 1000)[0].model.list_loss == 0


def test_the_file_for_a_log_of_ones_own_leaves_both_to_the_log():
    own = load_config("pipelines/configs/own_log.yaml")
    assert own.model.list_loss == "auto"
    assert own.training.batch_size == own.model.embedding["unknown"] == "auto"
    assert own.training.rows_at_once == 1024
