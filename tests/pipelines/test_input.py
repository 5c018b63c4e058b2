from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipelines.config import ConfigError, DatasetConfig
from pipelines.datasets.tables import DataError
from pipelines.input import (
    SPLITS,
    Source,
    evaluation_dataset,
    open_source,
    shuffle_events,
    training_dataset,
)
from pipelines.prepare import write_parquet
from pipelines.read_errors import explain_read_error
from pipelines.tfrecord import check_whole, compression
from tests.pipelines.small_folder import rows, serialized, write_folders
from tests.small_log import declared_schema
from tf_interformer.preprocessing import LIST_COLUMN, Preprocessor
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, SchemaError, Sequence


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same log as TFRecord and as Parquet, two files of the training split each."""
    return write_folders(tmp_path_factory.mktemp("log"))


def open_folder(folders, file_format):
    return open_source(DatasetConfig(name="mine", format=file_format), folders / file_format)


def users(batches):
    return np.concatenate([batch["user"] for batch in batches]).tolist()


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
def test_reads_every_example_once_in_order(folders, file_format):
    source = open_folder(folders, file_format)
    batches = list(source.raw_batches("test", 16).as_numpy_iterator())
    assert [len(batch["user"]) for batch in batches] == [16, 16, 16, 2]
    assert users(batches) == list(range(300, 350))
    assert sorted(users(source.raw_batches("train", 16).as_numpy_iterator())) == [*range(50), *range(100, 150)]


def test_tfrecord_and_parquet_give_the_same_batches(folders):
    one, other = (
        list(open_folder(folders, file_format).raw_batches("validation", 16).as_numpy_iterator())
        for file_format in ("tfrecord", "parquet")
    )
    schema = open_folder(folders, "tfrecord").schema
    learned = schema.learn(one)
    assert learned == schema.learn(other)
    encode = Preprocessor(learned)
    for left, right in zip(one, other, strict=True):
        encoded = encode(left)
        for name, value in encode(right).items():
            np.testing.assert_array_equal(value, encoded[name], err_msg=name)
        np.testing.assert_array_equal(left["click"], right["click"])


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
def test_shuffled_order_depends_on_the_seed_alone(folders, file_format):
    source = open_folder(folders, file_format)

    def order(seed, skip=0):
        return users(source.raw_batches("train", 8, shuffle_buffer=1000, seed=seed, skip=skip).as_numpy_iterator())

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == sorted(order(2)) == [*range(50), *range(100, 150)]
    # what an interrupted epoch has seen is left out, and nothing else changes
    assert order(1, skip=5) == order(1)[40:]


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
def test_training_and_evaluation_datasets(folders, file_format):
    source = open_folder(folders, file_format)
    encode = Preprocessor(source.schema.learn(source.raw_batches("train", 64).as_numpy_iterator()))
    batches = list(training_dataset(source, encode, 16, examples=100))
    assert len(batches) == 6  # whole batches only
    encoded, labels = batches[0]
    assert encoded["viewed_item"].shape == (16, 6)
    assert labels["click"].shape == (16, 1)
    assert len(list(training_dataset(source, encode, 200, examples=100))) == 1
    encoded, labels, others = next(iter(evaluation_dataset(source, encode, "test", 16)))
    assert others["group"].numpy().tolist() == list(range(300, 316))


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
def test_the_list_of_an_example_is_read_beside_its_user(tmp_path, file_format):
    source = open_folder(write_folders(tmp_path, lists=True), file_format)
    encode = Preprocessor(source.schema.learn(source.raw_batches("train", 64).as_numpy_iterator()))
    _, _, others = next(iter(evaluation_dataset(source, encode, "test", 50)))
    assert others["request"].numpy().tolist() == [f"3-{i // 5}".encode() for i in range(50)]
    assert others["group"].numpy().tolist() == [300 + i // 10 for i in range(50)]
    # as `pipelines.prepare` writes it, it is read again
    write_parquet(source, "test", tmp_path / "again.parquet")
    again = Source(source.schema, "parquet", dict.fromkeys(SPLITS, (str(tmp_path / "again.parquet"),)), {})
    raw, read = (next(one.raw_batches("test", 50).as_numpy_iterator()) for one in (source, again))
    assert read["shown"].tolist() == raw["shown"].tolist()


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
@pytest.mark.parametrize("lists", ["group", "request"])
def test_what_is_of_one_list_is_shuffled_together(tmp_path, file_format, lists):
    source = open_folder(write_folders(tmp_path, lists=True), file_format)
    column, size = {"group": ("user", 10), "request": ("shown", 5)}[lists]

    def order(seed, skip=0, by=lists):
        batches = source.raw_batches("train", 8, shuffle_buffer=1000, seed=seed, skip=skip, lists=by)
        parts = [(batch[column], batch["age"]) for batch in batches.as_numpy_iterator()]
        return [np.concatenate(part).tolist() for part in zip(*parts, strict=True)]

    keys, ages = order(1)
    assert sorted(ages) == sorted(order(1, by=None)[1]), "every example once"
    together = keys[::size]
    assert len(set(together)) == len(together) == 100 // size
    assert keys == [key for key in together for _ in range(size)]
    assert together != sorted(together)
    assert order(1) == [keys, ages]
    assert order(2)[0][::size] != together
    assert order(1, skip=5)[1] == ages[40:]
    encode = Preprocessor(source.schema.learn(source.raw_batches("train", 64).as_numpy_iterator()))
    encoded, _ = next(iter(training_dataset(source, encode, 50, examples=100, lists=lists)))
    assert len(set(encoded[LIST_COLUMN].numpy().tolist())) == 50 // size


def test_a_label_can_be_chosen(folders):
    with pytest.raises(ConfigError, match=r"dataset.labels: 'mine' has \['click'\]. Received: \['like'\]"):
        open_source(DatasetConfig(name="mine", format="tfrecord", labels=["like"]), folders / "tfrecord")


def test_histories_can_be_cut_to_their_most_recent_events(folders):
    whole = open_folder(folders, "tfrecord")
    cut = open_source(DatasetConfig(name="mine", format="tfrecord", max_length=2), folders / "tfrecord")
    sequence = whole.schema.sequences[0]
    assert sequence.max_length > 2
    column = sequence.column(sequence.fields[0].name)
    pairs = zip(whole.raw_batches("train", 64), cut.raw_batches("train", 64), strict=True)
    learned = whole.schema.learn(whole.raw_batches("train", 64).as_numpy_iterator())
    before, after = (Preprocessor(s) for s in (learned, learned.with_max_length(2)))
    for long, short in pairs:
        ids, length = np.asarray(before(long)[column]), np.asarray(long[sequence.length_column])
        length = np.minimum(length, sequence.max_length)
        expected = [list(row[max(0, n - 2) : n]) for row, n in zip(ids, length, strict=True)]
        found = np.asarray(after(short)[column])
        assert [list(row[: len(e)]) for row, e in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
def test_features_and_histories_can_be_left_out(folders, file_format):
    left_out = ["price", "user", "viewed_tag", "bought"]
    whole = open_folder(folders, file_format)
    config = DatasetConfig(name="mine", format=file_format, without=left_out)
    less = open_source(config, folders / file_format)
    gone = {"price", "viewed_tag", "bought_item", "bought_length"}  # `user` is the group, and so still read
    assert whole.schema.group == less.schema.group == "user" and "user" not in less.schema.signature()
    pairs = zip(*(s.raw_batches("train", 16).as_numpy_iterator() for s in (whole, less)), strict=True)
    for before, after in pairs:
        assert set(before) - set(after) == gone
        for name, values in after.items():
            assert values.tolist() == before[name].tolist()
    learned = less.schema.learn(less.raw_batches("train", 16).as_numpy_iterator())
    _, _, others = next(iter(evaluation_dataset(less, Preprocessor(learned), "test", 16)))
    assert others["group"].numpy().tolist() == list(range(300, 316))


def test_what_cannot_be_left_out_names_the_key(folders):
    config = DatasetConfig(name="mine", format="tfrecord", without=["price", "size"])
    with pytest.raises(ConfigError, match=r"dataset.without: .* has nothing called \['size'\]"):
        open_source(config, folders / "tfrecord")


def shuffled_folder(folders, file_format):
    config = DatasetConfig(name="mine", format=file_format, shuffle_events=True)
    return open_source(config, folders / file_format)


def histories(source, split, batch_size=16, **options):
    """User -> the events of `viewed` and of `bought`, all fields together."""
    found = {}
    for batch in source.raw_batches(split, batch_size, **options).as_numpy_iterator():
        for row, user in enumerate(batch["user"].tolist()):
            viewed = zip(batch["viewed_item"][row], batch["viewed_tag"][row].tolist(), strict=True)
            n, m = batch["viewed_length"][row], batch["bought_length"][row]
            found[user] = list(viewed)[:n], batch["bought_item"][row][:m].tolist()
            assert set(batch["viewed_tag"][row][n:]) <= {-1} and set(batch["bought_item"][row][m:]) <= {b""}
    return found


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
@pytest.mark.parametrize("split", SPLITS)
def test_events_can_be_shuffled(folders, file_format, split):
    before, source = histories(open_folder(folders, file_format), split), shuffled_folder(folders, file_format)
    after = histories(source, split)
    assert after.keys() == before.keys()
    for user, both in before.items():
        for events, shuffled in zip(both, after[user], strict=True):
            assert sorted(shuffled) == sorted(events), "fields of one event stay together"
    assert sum(after[user][0] != both[0] for user, both in before.items()) > len(before) / 2
    assert sum(after[user][1] != both[1] for user, both in before.items()) > len(before) / 3
    # one order, whatever the batch, the epoch and the format
    assert histories(source, split, 7, shuffle_buffer=1000, seed=3) == after
    assert histories(shuffled_folder(folders, "parquet"), split, 1) == after


def test_all_else_is_as_it_was_when_events_are_shuffled(folders):
    sources = open_folder(folders, "tfrecord"), shuffled_folder(folders, "tfrecord")
    before, after = (next(source.raw_batches("test", 50).as_numpy_iterator()) for source in sources)
    assert before.keys() == after.keys()
    for name in before.keys() - {"viewed_item", "viewed_tag", "bought_item"}:
        np.testing.assert_array_equal(before[name], after[name])


def batch_of(items, lengths):
    return {"seen_item": tf.constant(items), "seen_length": tf.constant(lengths, tf.int32)}


def seen(max_length):
    """A schema of one history."""
    fields = [Categorical("item", dtype="int64")]
    sequences = [Sequence("seen", fields=fields, max_length=max_length)]
    return FeatureSchema(features=[Numeric("n")], sequences=sequences, labels=[Label("y")])


def test_every_order_of_the_events_is_as_likely():
    rows = 6000
    numbers = np.arange(3 * rows).reshape(rows, 3)
    found = shuffle_events(seen(5), batch_of(numbers, [3] * rows))["seen_item"].numpy() - numbers[:, :1]
    orders, counts = np.unique(found, axis=0, return_counts=True)
    assert len(orders) == 6
    np.testing.assert_allclose(counts, rows / 6, atol=5 * np.sqrt(rows / 6))


def test_events_that_are_not_used_are_not_shuffled_in():
    numbers = np.arange(8 * 200).reshape(200, 8)
    found = shuffle_events(seen(3), batch_of(numbers, [7] * 200))["seen_item"].numpy()
    assert (found[:, :4] == numbers[:, :4]).all() and (found[:, 7] == numbers[:, 7]).all()
    assert (np.sort(found[:, 4:7]) == numbers[:, 4:7]).all() and (found[:, 4:7] != numbers[:, 4:7]).any()
    empty = np.zeros((2, 0), np.int64)
    assert shuffle_events(seen(3), batch_of(empty, [0, 0]))["seen_item"].shape == (2, 0)


def test_training_and_evaluation_see_the_shuffled_events(folders):
    source = shuffled_folder(folders, "tfrecord")
    sequences = tuple(s.model_copy(update={"match": ("item",)}) for s in source.schema.sequences)
    schema = source.schema.model_copy(update={"sequences": sequences})
    encode = Preprocessor(schema.learn(source.raw_batches("train", 64).as_numpy_iterator()))
    raw = next(iter(source.raw_batches("test", 50)))
    before = next(iter(open_folder(folders, "tfrecord").raw_batches("test", 50)))
    encoded, _, _ = next(iter(evaluation_dataset(source, encode, "test", 50)))
    latest = "viewed_item_match_recency"
    np.testing.assert_array_equal(encoded[latest], encode(raw)[latest])
    assert (encoded[latest].numpy() != encode(before)[latest].numpy()).any()
    encoded, _ = next(iter(training_dataset(source, encode, 100, examples=100)))
    known = {tuple(row) for batch in source.raw_batches("train", 100) for row in encode(batch)["viewed_item"].numpy()}
    assert {tuple(row) for row in encoded["viewed_item"].numpy()} == known


def test_missing_pieces_of_a_folder(tmp_path):
    config = DatasetConfig(name="mine", format="tfrecord")
    with pytest.raises(ConfigError, match="needs --data-dir"):
        open_source(config)
    with pytest.raises(DataError, match=r"must hold schema.json.*It holds: nothing"):
        open_source(config, tmp_path)
    (tmp_path / "schema.json").write_text("<html>")
    with pytest.raises(SchemaError, match=r"schema.json is not JSON"):
        open_source(config, tmp_path)
    declared_schema().to_json(tmp_path / "schema.json")
    with pytest.raises(DataError, match=r"no file for the split 'train': expected train\*.tfrecord"):
        open_source(config, tmp_path)


def broken_source(path, file_format="tfrecord"):
    return Source(declared_schema(), file_format, dict.fromkeys(SPLITS, (str(path),)), {})


def test_a_truncated_tfrecord_names_the_file(folders, tmp_path):
    whole = (folders / "tfrecord" / "test.tfrecord").read_bytes()
    path = tmp_path / "cut.tfrecord"
    path.write_bytes(whole[: len(whole) // 2])
    source = broken_source(path)
    with pytest.raises(tf.errors.DataLossError) as raised:
        list(source.raw_batches("train", 16))
    assert f"{path} is broken after 2" in str(explain_read_error(raised.value, source))


@pytest.mark.parametrize("kind", ["GZIP", "ZLIB"])
def test_compressed_tfrecords_are_read(tmp_path, kind):
    """And where one is cut off, which TensorFlow does not tell, it is named."""
    path = tmp_path / "train.tfrecord.gz"
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type=kind)) as writer:
        for example in rows(0):
            writer.write(serialized(example))
    source = broken_source(path)
    assert users(source.raw_batches("train", 16).as_numpy_iterator()) == list(range(50))
    check_whole(str(path))
    whole = path.read_bytes()
    path.write_bytes(whole + whole)  # one behind the other, as gzip allows
    check_whole(str(path))
    path.write_bytes(whole[:-100])
    declared_schema().to_json(tmp_path / "schema.json")
    with pytest.raises(DataError, match=r"train.tfrecord.gz is cut off: what it holds compressed has no end"):
        open_source(DatasetConfig(name="mine", format="tfrecord"), tmp_path)
    path.write_bytes(whole[:200] + b"noise" + whole[205:])
    with pytest.raises(DataError, match=r"train.tfrecord.gz is (damaged|cut off)"):
        check_whole(str(path))


def test_a_record_that_begins_like_an_archive_is_none(tmp_path):
    path = tmp_path / "train.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(bytes(0x9C78))  # the length comes first, in little-endian bytes
    assert path.read_bytes()[:2] == b"\x78\x9c" and compression(str(path)) == ""


def test_a_label_of_another_type_names_file_record_and_column(folders, tmp_path):
    good, path = folders / "tfrecord" / "validation.tfrecord", tmp_path / "test.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, example in enumerate(rows(0)):
            writer.write(serialized(example).replace(b"click", b"clock") if number == 7 else serialized(example))
    source = Source(declared_schema(), "tfrecord", {"train": (str(good),), "test": (str(path),)}, {})
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        list(source.raw_batches("test", 16))
    assert f"{path} does not fit the schema 'small', record 8: column 'click'" in str(
        explain_read_error(raised.value, source)
    )


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
def test_labels_and_keys_alone(folders, file_format):
    source = open_folder(folders, file_format)
    found = source.outcomes("test")
    assert found.keys() == {"click", "user"} and found["user"].tolist() == list(range(300, 350))
    batches = source.raw_batches("test", 16).as_numpy_iterator()
    assert found["click"].tolist() == np.concatenate([batch["click"] for batch in batches]).tolist()


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
def test_an_epoch_of_dropped_negatives_goes_on_where_it_stopped(folders, file_format):
    """Even where it begins anew, since fewer were dropped when they were counted."""
    source = open_folder(folders, file_format)
    labels = (Label("click", negative_rate=0.5, downsample=True),)
    source = replace(source, schema=source.schema.model_copy(update={"labels": labels}))
    encode = Preprocessor(source.schema.learn(source.raw_batches("train", 64).as_numpy_iterator()))

    def ages(skip):
        data = training_dataset(source, encode, 8, examples=160, seed=3, shuffle_buffer=50, skip=skip)
        return [encoded["age"].numpy().tolist() for encoded, _ in data]

    whole = ages(0)
    assert len(whole) == 20
    assert ages(2) == whole[2:] and ages(15) == whole[15:]


def test_a_tfrecord_that_is_none(tmp_path):
    path = tmp_path / "page.tfrecord"
    path.write_text("<!DOCTYPE html><html><body>Sign in</body></html>" * 10)
    source = broken_source(path)
    with pytest.raises(tf.errors.DataLossError) as raised:
        list(source.raw_batches("train", 16))
    assert f"{path} is broken after 0 records" in str(explain_read_error(raised.value, source))


def test_a_tfrecord_without_the_label(tmp_path):
    path = tmp_path / "no_label.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(serialized({name: value for name, value in rows(0)[0].items() if name != "click"}))
    source = broken_source(path)
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        list(source.raw_batches("train", 16))
    message = str(explain_read_error(raised.value, source))
    assert message == (
        f"{path} does not fit the schema 'small', record 1: column 'click': (data type: int64) is required but could "
        "not be found."
    )


def test_a_parquet_file_that_is_cut_off_or_lacks_a_column(folders, tmp_path):
    path = tmp_path / "cut.parquet"
    path.write_bytes((folders / "parquet" / "test.parquet").read_bytes()[:-100])
    with pytest.raises(Exception, match=r"cut.parquet is not a whole Parquet file"):
        list(broken_source(path, "parquet").raw_batches("train", 16))
    pq.write_table(pa.Table.from_pylist(rows(0)).drop_columns(["age"]), path)
    with pytest.raises(Exception, match=r"cut.parquet lacks the columns \['age'\]"):
        list(broken_source(path, "parquet").raw_batches("train", 16))


def test_parquet_nulls_are_missing_values(tmp_path):
    path = tmp_path / "nulls.parquet"
    examples = rows(0)
    examples[3] |= {"item": None, "price": None}
    pq.write_table(pa.Table.from_pylist(examples), path)
    batch = next(iter(broken_source(path, "parquet").raw_batches("train", 16)))
    assert batch["item"].numpy()[3] == b""
    assert np.isnan(batch["price"].numpy()[3])
