"""What a configuration leaves to the log."""

import pytest

from pipelines.config import DatasetConfig, ModelConfig, TrainConfig, TrainingConfig, load_config
from pipelines.sizing import sized
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


def test_the_file_for_a_log_of_ones_own_leaves_both_to_the_log():
    own = load_config("pipelines/configs/own_log.yaml")
    assert own.training.batch_size == own.model.embedding["unknown"] == "auto"
    assert own.training.rows_at_once == 1024
