"""The model that the tests of exports take."""

from typing import Any

from tests.small_log import learned_schema
from tf_interformer._keras import keras
from tf_interformer.ranker import Ranker
from tf_interformer.schema import FeatureSchema

TASKS = ("click", "buy")
CANDIDATE = ("item", "tags", "price")


def small_ranker(tasks: tuple[str, ...] = TASKS, information_flow: str = "both", **options: Any) -> Ranker:
    """Its schema says which columns are the candidate's."""
    keras.utils.set_random_seed(2)
    schema = FeatureSchema.from_config({**learned_schema(tasks).get_config(), "candidate": CANDIDATE})
    config = {"num_layers": 1, "information_flow": information_flow, "interaction": "dot", "num_heads": 2}
    return Ranker(schema, backbone_config=config, embedding={"dim": 8, "stddev": 0.5}, tower_units=(8,), **options)
