import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.small_log import declared_schema, learned_schema, raw_batch
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, SchemaError, Sequence, Vector


def test_json_round_trip_of_declared_and_learned(tmp_path):
    for schema in (declared_schema(), learned_schema(("click", "buy"))):
        assert FeatureSchema.from_json(schema.to_json()) == schema
        schema.to_json(tmp_path / "schema.json")
        assert FeatureSchema.from_json(tmp_path / "schema.json") == schema
        assert FeatureSchema.from_config(schema.get_config()) == schema
    assert [path.name for path in tmp_path.iterdir()] == ["schema.json"]


def test_learns_vocabulary_by_frequency_over_all_columns_of_a_table():
    schema = FeatureSchema(
        features=[Categorical("item", min_count=2)],
        sequences=[Sequence("seen", fields=[Categorical("item", table="item")])],
        labels=[Label("y")],
    )
    first = {"item": ["a", "b"], "seen_item": [["c", "c", "z"], ["b", "", ""]], "seen_length": [2, 1], "y": [1, 0]}
    second = {"item": ["b", ""], "seen_item": [["", ""], ["", ""]], "seen_length": [0, 2], "y": [0, 0]}
    learned = schema.learn([first, second])
    # b three times, c twice; a once is too rare, z is padding, the missing value is never a word
    assert learned["item"].vocabulary == ("b", "c")
    assert learned["item"].num_ids == 4
    assert learned.labels[0].mean == 0.25


def test_learns_a_vocabulary_of_integers():
    schema = FeatureSchema(
        features=[Categorical("tags", dtype="int64", max_values=3, min_count=2), Categorical("user", dtype="int64")],
        labels=[Label("y")],
    )
    first = {"tags": [[7, 5, -1], [5, 9, 7]], "user": [3, 3], "y": [1, 0]}
    second = {"tags": [[5, -1, -1], [-1, -1, -1]], "user": [40, -1], "y": [0, 0]}
    learned = schema.learn([first, second])
    # 5 three times, 7 twice; 9 once is too rare, the missing value is never a word
    assert learned["tags"].vocabulary == (5, 7)
    assert learned["user"].vocabulary == (3, 40)


def test_learns_numeric_statistics_whatever_the_batches():
    values = np.random.default_rng(0).lognormal(1, 1, 1000).astype(np.float32)
    values[::50] = np.nan
    present = values[~np.isnan(values)].astype(np.float64)
    schema = FeatureSchema(
        features=[Numeric("plain"), Numeric("logged", transform="log", buckets=4), Numeric("raw", transform="none")],
        labels=[Label("y")],
    )
    batches = [
        {"plain": part, "logged": part, "raw": part, "y": np.zeros(len(part))}
        for part in np.split(values, [1, 10, 700])
    ]
    learned = schema.learn(batches)
    assert learned["plain"].mean == pytest.approx(present.mean(), rel=1e-9)
    assert learned["plain"].std == pytest.approx(present.std(), rel=1e-9)
    assert learned["logged"].mean == pytest.approx(np.log1p(present).mean(), rel=1e-9)
    assert learned["raw"].std == 1.0
    quarters = np.searchsorted(learned["logged"].boundaries, present, side="right")
    np.testing.assert_allclose(np.bincount(quarters) / present.size, 0.25, atol=0.01)


def test_constant_and_absent_numeric_stay_finite():
    schema = FeatureSchema(features=[Numeric("same", buckets=4), Numeric("gone")], labels=[Label("y")])
    learned = schema.learn([{"same": [3.0, 3.0], "gone": [np.nan, np.nan], "y": [0, 1]}])
    assert (learned["same"].mean, learned["same"].std, learned["gone"].mean) == (3.0, 1.0, 0.0)
    assert learned["same"].boundaries == (3.0,)


def test_learn_keeps_what_was_given():
    schema = FeatureSchema(
        features=[Categorical("a", vocabulary=["x"]), Numeric("n", mean=1.0, std=2.0)], labels=[Label("y", mean=0.3)]
    )
    assert schema.is_learned
    assert schema.learn([{"a": ["q"], "n": [9.0], "y": [1]}]) == schema


def test_with_labels():
    schema = declared_schema(("click", "buy"))
    assert schema.with_labels("buy").tasks == ("buy",)
    with pytest.raises(SchemaError, match=r"has the labels .*'click', 'buy'.*Received: \['like'\]"):
        schema.with_labels("like")


def test_with_max_length():
    schema = declared_schema()
    longest = max(s.max_length for s in schema.sequences)
    assert {s.max_length for s in schema.with_max_length(2).sequences} == {2}
    assert schema.with_max_length(longest) == schema
    with pytest.raises(SchemaError, match=r"must be at least 1\. Received: 0"):
        schema.with_max_length(0)


def names(schema):
    return list(schema.signature(labels=True))


@pytest.mark.parametrize("make", [declared_schema, learned_schema])
def test_without_features_sequences_and_fields(make):
    schema = make()
    whole = names(schema)
    assert schema.without() == schema
    assert names(schema.without("bought")) == [n for n in whole if not n.startswith("bought_")]
    less = schema.without("viewed_tag", "country", "price")
    assert names(less) == [n for n in whole if n not in ("viewed_tag", "country", "price")]
    assert schema.without("viewed_tag", "viewed_item") == schema.without("viewed"), "no field, no sequence"
    assert less.is_learned == schema.is_learned and less["item"] == schema["item"]
    assert FeatureSchema.from_json(less.to_json()) == less


def test_without_before_learning_is_without_after_it():
    batch = raw_batch(64, seed=1)
    left_out = ("viewed_tag", "tags", "price")
    del (less := dict(batch))["viewed_tag"], less["tags"], less["price"]
    assert declared_schema().without(*left_out).learn([less]) == learned_schema().without(*left_out)


def test_what_refers_to_what_is_left_out_goes_too():
    tables = [Categorical("item", table="item"), Categorical("tag", dtype="int64", table="tag"), Categorical("action")]
    viewed = Sequence("viewed", fields=tables, match=["item", "tag"], distance=["tag"])
    schema = FeatureSchema(
        features=[Categorical("item"), Categorical("tag", dtype="int64"), Numeric("age")],
        sequences=[viewed],
        labels=[Label("y")],
        candidate=["item", "tag"],
    )

    def compared(*left_out):
        less = schema.without(*left_out)
        return less.candidate, less.sequences[0].match, less.sequences[0].distance

    assert compared("viewed_tag") == (("item", "tag"), ("item",), ())
    assert compared("viewed_tag", "tag") == (("item",), ("item",), ())
    assert compared("viewed_tag_match") == (("item", "tag"), ("item",), ("tag",))
    assert compared("viewed_tag_distance") == (("item", "tag"), ("item", "tag"), ())
    assert schema.without("viewed", "item", "tag").candidate == ()


def test_a_key_that_is_a_feature_no_more_keeps_its_dtype():
    keys = {"group": "user", "request": "shown", "request_dtype": "string"}
    schema = FeatureSchema(features=[Categorical("user"), Numeric("age")], labels=[Label("y")], **keys)
    for less in (schema.without("user"), schema.without("age").without()):
        assert less.signature(labels=True)["user"].dtype == tf.string
        assert less.parsing_spec()["shown"].dtype == tf.string
    assert names(schema.without("user")) == ["age", "y", "user", "shown"]


def test_what_cannot_be_left_out_is_told():
    schema = declared_schema()
    known = "item, .*age, viewed, viewed_item, viewed_tag, bought, bought_item$"
    with pytest.raises(SchemaError, match=rf"nothing called \['click', 'size'\] to leave out. It has: {known}"):
        schema.without("size", "age", "click")
    users = r"\['viewed_item', 'bought_item'\]"
    with pytest.raises(SchemaError, match=rf"'item' owns the table in which {users} .* leave out {users}, too"):
        schema.without("item")
    with pytest.raises(SchemaError, match="must keep a feature beside its sequences"):
        schema.without("item", "user", "tags", "country", "price", "age")
    served = FeatureSchema(
        features=[Categorical("place", serve_as="1"), Numeric("age")], labels=[Label("y")], candidate=["age"]
    )
    with pytest.raises(SchemaError, match="nothing is left to ask for"):
        served.without("age")


WRONG = {
    "bad name": (lambda: Categorical("user\n"), r"Categorical 'user\\n', name: .*control.* Received: 'user\\n'"),
    "bad buckets": (lambda: Categorical("a", hash_buckets=0), "Categorical 'a', hash_buckets: .*Received: 0"),
    "unknown argument": (lambda: Categorical("a", size=3), "Categorical 'a', size: Extra inputs"),
    "two sources of ids": (lambda: Categorical("a", hash_buckets=3, vocabulary=["x"]), "'a': give `hash_buckets`"),
    "vocabulary dtype": (lambda: Categorical("a", dtype="int64", vocabulary=["x"]), "'a'"),
    "vocabulary twice": (lambda: Categorical("a", vocabulary=["x", "x"]), "'a': `vocabulary` holds a value twice"),
    "missing in vocabulary": (lambda: Categorical("a", vocabulary=["", "x"]), "'a': `vocabulary` may not hold"),
    "missing dtype": (lambda: Categorical("a", missing=3), "'a': `missing` must be of the feature's dtype"),
    "shared with vocabulary": (lambda: Categorical("a", table="b", hash_buckets=3), "'a': it shares table 'b'"),
    "one bucket": (lambda: Numeric("n", buckets=1), "Numeric 'n': `buckets` must be 0"),
    "falling boundaries": (lambda: Numeric("n", buckets=3, boundaries=[2, 1]), "Numeric 'n': `boundaries` must incr"),
    "no field": (lambda: Sequence("s", fields=[]), "Sequence 's', fields"),
    "field twice": (lambda: Sequence("s", fields=[Categorical("a"), Categorical("a")]), "Sequence 's': field names"),
    "field called length": (lambda: Sequence("s", fields=[Categorical("length")]), "'s': no field may be called"),
    "multi-valued field": (lambda: Sequence("s", fields=[Categorical("a", max_values=2)]), "'s': field 'a' may not"),
    "no label": (lambda: FeatureSchema(features=[Numeric("n")], labels=[]), "labels"),
    "column twice": (
        lambda: FeatureSchema(features=[Numeric("n"), Categorical("n")], labels=[Label("y")]),
        "Received twice: n",
    ),
    "sequence column twice": (
        lambda: FeatureSchema(
            features=[Numeric("s_length")], sequences=[Sequence("s", fields=[Categorical("a")])], labels=[Label("y")]
        ),
        "Received twice: s_length",
    ),
    "unknown table": (
        lambda: FeatureSchema(features=[Categorical("a", table="b")], labels=[Label("y")]),
        "feature 'a' shares table 'b', which no feature owns",
    ),
    "shared dtype": (
        lambda: FeatureSchema(
            features=[Categorical("a"), Categorical("b", dtype="int64", table="a")], labels=[Label("y")]
        ),
        "feature 'b' has dtype int64 but shares table 'a'",
    ),
    "group is label": (
        lambda: FeatureSchema(features=[Numeric("n")], labels=[Label("y")], group="y"),
        "`group` may not be a label",
    ),
    "request is label": (
        lambda: FeatureSchema(features=[Numeric("n")], labels=[Label("y")], request="y"),
        "`request` may not be a label. Received: 'y'",
    ),
    "request is weight": (
        lambda: FeatureSchema(features=[Numeric("n")], labels=[Label("y")], request="w", weight="w"),
        "`request` may not be the weight. Received: 'w'",
    ),
    "one column of two types": (
        lambda: FeatureSchema(
            features=[Numeric("n")], labels=[Label("y")], group="r", request="r", request_dtype="string"
        ),
        "`group` and `request` of one column must have one dtype. Received: .*'int64'.*'string'",
    ),
    "not JSON": (lambda: FeatureSchema.from_json("{nope"), "is not JSON"),
    "deep JSON": (lambda: FeatureSchema.from_json('{"features": ' + "[" * 100_000), "is not JSON"),
    "no such file": (lambda: FeatureSchema.from_json("no/such/file.json"), "no/such/file.json"),
    "wrong feature in JSON": (
        lambda: FeatureSchema.from_json('{"features": [{"kind": "numeric", "name": "n", "std": -1}], "labels": []}'),
        "Numeric 'n', std: .*Received: -1",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_schema_names_the_feature(case):
    make, message = WRONG[case]
    with pytest.raises(SchemaError, match=message):
        make()


BROKEN = {
    "missing column": (lambda batch: batch.pop("item"), "needs the column 'item'"),
    "label out of range": (lambda batch: batch.update(click=np.full(32, 2.0)), "label 'click' must be 0 or 1. Rec"),
    "NaN label": (lambda batch: batch.update(click=np.full(32, np.nan)), "label 'click' must be 0 or 1"),
    "text in a number": (lambda batch: batch.update(age=np.array(["old"] * 32)), "column 'age' must hold numbers"),
    "infinite": (lambda batch: batch.update(age=np.full(32, np.inf)), "column 'age' must hold finite numbers"),
    "float ids": (lambda batch: batch.update(user=np.full(32, 0.5)), "column 'user' must hold integers"),
    "integer words": (lambda batch: batch.update(item=np.arange(32)), "column 'item' must hold strings"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_learning_from_a_broken_batch_names_the_column(case):
    change, message = BROKEN[case]
    batch = raw_batch()
    change(batch)
    with pytest.raises(SchemaError, match=message):
        declared_schema().learn([batch])


def test_learning_from_nothing():
    with pytest.raises(SchemaError, match="holds no example"):
        declared_schema().learn([])


def _example(**columns):
    features = {}
    for name, value in columns.items():
        values = np.atleast_1d(value)
        if values.dtype.kind in "OUS":
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[v.encode() for v in values]))
        elif values.dtype.kind == "f":
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
        else:
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def test_parses_tf_examples():
    schema = declared_schema()
    full = _example(
        item="item_1", user=3, tags=[100, 101], country="NL", price=2.0, age=30.0, click=1,
        viewed_item=["item_2", "item_3"], viewed_tag=[100, 105], bought_item=["item_4"],
    )  # fmt: skip
    sparse = _example(item="item_2", user=4, click=0)
    batch = schema.parse_examples(tf.constant([full, sparse]))
    assert batch["item"].numpy().tolist() == [b"item_1", b"item_2"]
    assert batch["tags"].numpy().tolist() == [[100, 101, -1], [-1, -1, -1]]
    assert batch["country"].numpy().tolist() == [b"NL", b""]
    assert np.isnan(batch["price"].numpy()).tolist() == [False, True]
    assert batch["viewed_item"].numpy().tolist() == [[b"item_2", b"item_3"], [b"", b""]]
    assert batch["viewed_length"].numpy().tolist() == [2, 0]
    assert batch["click"].numpy().tolist() == [1.0, 0.0]
    assert batch["user"].numpy().tolist() == [3, 4]


def test_parsing_needs_the_label():
    with pytest.raises(tf.errors.InvalidArgumentError, match="click"):
        declared_schema().parse_examples(tf.constant([_example(item="item_2", user=4)]))


def test_parsing_serving_requests_needs_no_label():
    batch = declared_schema().parse_examples(tf.constant([_example(item="item_2", user=4)]), labels=False)
    assert "click" not in batch


def test_parsing_refuses_fields_that_are_not_aligned():
    wrong = _example(item="i", user=1, click=1, viewed_item=["a", "b"], viewed_tag=[100])
    with pytest.raises(tf.errors.InvalidArgumentError, match="viewed_item and viewed_tag must hold the same"):
        declared_schema().parse_examples(tf.constant([wrong]))


def test_signature_has_no_label():
    signature = declared_schema().signature()
    assert "click" not in signature
    assert set(signature) == set(raw_batch()) - {"click"}
    assert set(declared_schema().signature(labels=True)) == set(raw_batch())


def every_kind():
    """A feature of every kind, a sequence, keys, a weight and a candidate."""
    return FeatureSchema(
        features=[
            Categorical("item"),
            Categorical("tags", dtype="int64", max_values=2),
            Numeric("price"),
            Vector("image", dim=3),
        ],
        sequences=[Sequence("seen", fields=[Categorical("item", table="item"), Categorical("page", dtype="int64")])],
        labels=[Label("click")],
        candidate=["item", "image"],
        group="user",
        request="shown",
        request_dtype="string",
        weight="importance",
    )


def test_signatures_say_shape_type_and_name_of_every_column():
    columns = {
        "item": ([None], tf.string),
        "tags": ([None, None], tf.int64),
        "price": ([None], tf.float32),
        "image": ([None, 3], tf.float32),
        "seen_item": ([None, None], tf.string),
        "seen_page": ([None, None], tf.int64),
        "seen_length": ([None], tf.int32),
    }
    keys = {"click": tf.float32, "user": tf.int64, "shown": tf.string, "importance": tf.float32}
    serving = {name: tf.TensorSpec(shape, dtype, name) for name, (shape, dtype) in columns.items()}
    assert every_kind().signature() == serving
    training = serving | {name: tf.TensorSpec([None], dtype, name) for name, dtype in keys.items()}
    assert every_kind().signature(labels=True) == training
    candidates = {
        name: spec if name in ("item", "image") else tf.TensorSpec([1, *spec.shape[1:]], spec.dtype, name)
        for name, spec in serving.items()
    }
    assert every_kind().candidate_signature() == candidates


def test_tensorflow_datasets_features_of_every_column():
    features = every_kind().tfds_features(more=tf.int64)
    types = {"item": "S", "tags": "i", "price": "f", "image": "f", "seen_item": "S", "seen_page": "i", "click": "i"}
    types |= {"user": "i", "shown": "S", "importance": "f", "more": "i"}
    specs = features.get_tensor_spec()
    kinds = {name: "S" if spec.dtype == tf.string else spec.dtype.name[0] for name, spec in specs.items()}
    assert kinds == types
    shapes = {"tags": (None,), "image": (3,), "seen_item": (None,), "seen_page": (None,)}
    assert {name: tuple(spec.shape) for name, spec in specs.items() if len(spec.shape)} == shapes


def test_parses_a_column_of_every_kind():
    given = {"item": "a", "click": 1, "user": 3, "shown": "3-1", "importance": 0.5}
    whole = _example(**given, tags=[7], price=2.0, image=[1.0, 2.0, 3.0], seen_item=["a", "b"], seen_page=[8, 9])
    batch = {name: value.numpy().tolist() for name, value in every_kind().parse_examples(tf.constant([whole])).items()}
    assert batch == {
        "item": [b"a"],
        "tags": [[7, -1]],
        "price": [2.0],
        "image": [[1.0, 2.0, 3.0]],
        "seen_item": [[b"a", b"b"]],
        "seen_page": [[8, 9]],
        "seen_length": [2],
        "click": [1.0],
        "user": [3],
        "shown": [b"3-1"],
        "importance": [0.5],
    }
    sparse = every_kind().parse_examples(tf.constant([_example(**given)]))
    assert np.isnan(sparse["price"].numpy()).tolist() == [True]
    assert np.isnan(sparse["image"].numpy()).tolist() == [[True] * 3]
    assert sparse["seen_page"].shape == (1, 0) and sparse["seen_length"].numpy().tolist() == [0]


KEYED = {"request": "shown", "request_dtype": "string"}


def test_the_list_is_carried_where_the_user_is():
    schema = declared_schema().model_copy(update=KEYED)
    assert schema.key_columns == {"group": ("user", "int64"), "request": ("shown", "string")}
    assert schema.signature(labels=True)["shown"] == tf.TensorSpec([None], tf.string, "shown")
    assert "shown" not in schema.signature() and "shown" not in schema.parsing_spec(labels=False)
    assert schema.tfds_features()["shown"].dtype == schema.tfds_features()["item"].dtype
    whole = _example(item="i", user=3, shown="3-1", click=1)
    assert schema.parse_examples(tf.constant([whole]))["shown"].numpy().tolist() == [b"3-1"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="shown"):
        schema.parse_examples(tf.constant([_example(item="i", user=3, click=1)]))


def test_the_list_may_be_a_feature_or_the_group():
    schema = declared_schema().model_copy(update={"request": "country"})
    assert schema.signature(labels=True) == declared_schema().signature(labels=True)
    assert schema.parse_examples(tf.constant([_example(item="i", user=3, country="NL", click=1)]))["country"] == [b"NL"]
    both = FeatureSchema(features=[Numeric("n")], labels=[Label("y")], group="r", request="r")
    assert list(both.signature(labels=True)) == ["n", "y", "r"]


def test_a_schema_that_was_saved_before_there_were_lists():
    config = declared_schema().get_config()
    assert (config.pop("request"), config.pop("request_dtype")) == (None, "int64")
    assert FeatureSchema.from_config(config) == declared_schema()
    keyed = declared_schema().model_copy(update=KEYED)
    assert FeatureSchema.from_json(keyed.to_json()) == keyed


def test_a_vocabulary_of_digits_stays_one_of_strings(tmp_path):
    log = {"user": np.array(["7", "28"]), "click": np.array([1.0, 0.0])}
    schema = FeatureSchema(features=[Categorical("user")], labels=[Label("click")]).learn([log])
    assert FeatureSchema.from_config(json.loads(json.dumps(schema.get_config()))) == schema


def test_two_writers_of_a_schema_do_not_mix(tmp_path, monkeypatch):
    schema, path = FeatureSchema(features=[Numeric("x")], labels=[Label("y")]), tmp_path / "schema.json"
    other = FeatureSchema(features=[Numeric("z")], labels=[Label("y")])
    replace = Path.replace

    def slow(self, target):
        monkeypatch.setattr(Path, "replace", replace)
        other.to_json(path)  # another process writes, whole, before this one is through
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", slow)
    schema.to_json(path)
    assert FeatureSchema.from_json(path) == schema
    assert [file.name for file in tmp_path.iterdir()] == ["schema.json"]
