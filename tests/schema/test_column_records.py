"""What the schema says of its columns, by which everything else goes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serving.encoder import Encoder
from tests.golden.log import TASKS, schema
from tf_interformer import Preprocessor
from tf_interformer.schema import Categorical, FeatureSchema, Label, Moment, Numeric, SchemaError, Sequence


@pytest.fixture(scope="module")
def learned():
    return schema(*TASKS)


def test_raw_columns_stand_as_declared(learned):
    found = {column.name: column for column in learned.raw_columns}
    features = [feature.name for feature in learned.features]
    seen = ["seen_item", "seen_place", "seen_seconds_ago", "seen_length", "bought_item", "bought_length"]
    assert list(found) == [*features, *seen, "click", "buy"]
    assert {name for name, column in found.items() if not column.is_served} == {"shown_at", "click", "buy"}
    assert {name for name, column in found.items() if column.side == "candidate"} == {
        *learned.candidate,
        *learned.tasks,
    }
    item, click = found["seen_item"], found["click"]
    assert (item.kind, item.width, item.length) == ("events", 5, "seen_length")
    assert (item.sequence, item.table) == ("seen", "item")
    assert (found["tags"].kind, found["tags"].missing, found["tags"].shape) == ("values", -1, (None, None))
    assert found["picture"].shape == (None, 3)
    assert (click.stored_dtype, click.dtype, click.missing) == ("int64", "float32", None)


def test_encoded_columns_know_their_tables(learned):
    found = {column.name: column for column in learned.encoded_columns}
    assert found["seen_item"].num_ids == found["item"].num_ids == learned["item"].num_ids
    assert found["country"].embedding_dim == 2 and found["seen_place"].embedding_dim is None
    assert found["seen_item_last_seconds_ago"].goes == "dense" and found["seen_seconds_ago"].goes == "event"
    assert found["seen_place_distance_latest"].table == "seen_place_distance"
    assert found["price_bucket"].side == found["seen_item_match"].side == "candidate" and found["age"].side == "user"
    declared = learned.replace(features=(Categorical("item"), *learned.features[1:]))
    unknown = {column.name for column in declared.encoded_columns if column.is_id and column.num_ids is None}
    assert {"item", "seen_item", "bought_item"} == unknown


def test_tokens_stand_in_the_order_of_earlier_models(learned):
    """Tables of saved models are laid out by it."""
    made = [column.name for column in learned.encoded_columns if column.goes == "token"]
    features = ["item", "user", "tags", "country", "place", "shown_at"]
    assert made == ["price_bucket", *features, "seen_place_distance_latest", "picture"]
    assert learned.numbers[:2] == ("price", "age") and "seen_item_match_count" in learned.numbers
    assert learned.sequences[0].event_parts[-1] == ("seen_seconds_ago",)


def test_replace_checks(learned):
    assert learned.replace() == learned
    with pytest.raises(SchemaError, match="`candidate` must name features"):
        learned.replace(candidate=("nothing",))
    with pytest.raises(SchemaError, match=r"Numeric 'age', std: .*Received: -1"):
        learned["age"].model_copy(update={"std": -1})
    # What was derived before is not taken over.
    assert {column.side for column in learned.replace(candidate=()).served_columns} == {"user"}
    assert FeatureSchema(**dict(learned)) == learned


def test_a_name_may_not_be_that_of_what_a_feature_makes():
    bucket = Numeric("price", buckets=2)
    with pytest.raises(SchemaError, match="Received twice: price_bucket"):
        FeatureSchema(features=[bucket, Numeric("price_bucket")], labels=[Label("y")])
    with pytest.raises(SchemaError, match="Received twice: price_bucket"):
        FeatureSchema(features=[bucket], labels=[Label("price_bucket")])
    with pytest.raises(SchemaError, match="Received twice: at_hour"):
        FeatureSchema(features=[Moment("at"), Numeric("at_hour")], labels=[Label("y")])
    with pytest.raises(SchemaError, match="Received twice: at"):
        FeatureSchema(features=[Moment("at"), Numeric("at")], labels=[Label("y")])


def test_a_field_may_not_hold_lists_or_be_served_as_something():
    for field, message in (
        (Categorical("a", max_values=2), "field 'a' may not be multi-valued"),
        (Categorical("a", serve_as="x"), "field 'a' may not set `serve_as`"),
        (Numeric("a", serve_as=1.0), "field 'a' may not set `serve_as`"),
        (Numeric("a", buckets=2), "field 'a' may have no `buckets`"),
    ):
        with pytest.raises(SchemaError, match=message):
            Sequence("s", fields=[field])


def test_a_schema_is_read_and_encodes_without_tensorflow(learned, tmp_path):
    learned.to_json(tmp_path / "schema.json")
    code = (
        "import sys\n"
        "from tf_interformer.schema import FeatureSchema\n"
        "schema = FeatureSchema.from_json(sys.argv[1])\n"
        "assert len(schema.served_columns) == len(schema.raw_columns) - 3\n"
        "assert schema.encoded_columns\n"
        "heavy = {'tensorflow', 'keras', 'tf_keras', 'tensorflow_datasets', 'jax', 'torch'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "schema.json")]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "schema.json").read_text())["features"][0]["kind"] == "categorical"


def test_learning_ignores_what_lies_behind_an_events_length():
    declared = FeatureSchema(
        features=[Numeric("age")],
        sequences=[Sequence("seen", fields=[Categorical("item"), Numeric("price")])],
        labels=[Label("y")],
    )
    batch = {"age": [1.0], "seen_item": [["a", "b"]], "seen_price": [[2.0, 9.0]], "seen_length": [1], "y": [1]}
    learned = declared.learn([batch])
    assert learned["seen_item"].vocabulary == ("a",) and learned["seen_price"].mean == 2
    with pytest.raises(SchemaError, match="'seen_length' exceeds the events in 'seen_price'"):
        declared.learn([batch | {"seen_length": [2], "seen_price": [[2.0]]}])
    assert np.isnan(learned["seen_price"].missing)


@pytest.mark.parametrize("owner", [{}, {"hash_buckets": 50}])
def test_a_column_that_shares_a_table_has_a_missing_value_of_its_own(owner, tmp_path):
    made = FeatureSchema(
        features=(Categorical("item", **owner),),
        sequences=(Sequence("seen", fields=(Categorical("item", table="item", missing="none"),), max_length=3),),
        labels=(Label("click"),),
    )
    raw = {
        "item": np.array(["a", ""], object),
        "seen_item": np.array([["none", "b", "a"], ["b", "b", "b"]], object),
        "seen_length": np.array([3, 1]),
        "click": np.array([1, 0]),
    }
    made = made.learn([raw])
    assert owner or made["item"].vocabulary == ("a", "b")
    made.to_json(tmp_path / "schema.json")
    for encode in (Preprocessor(made), Encoder(tmp_path / "schema.json").encode):
        encoded = {name: np.asarray(value) for name, value in encode(raw).items()}
        assert encoded["item"][1] == 0
        assert (encoded["seen_item"] == 0).tolist() == [[True, False, False], [False, True, True]]
        assert encoded["seen_item"][0, 2] == encoded["item"][0] >= 2
