import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipelines.config import ConfigError, DatasetConfig
from pipelines.datasets.tables import DataError
from pipelines.input import SPLITS, Source, evaluation_dataset, explain_read_error, open_source, training_dataset
from pipelines.prepare import write_parquet
from tests.pipelines.small_folder import rows, serialized, write_folders
from tests.small_log import declared_schema
from tf_interformer.preprocessing import LIST_COLUMN, Preprocessor
from tf_interformer.schema import SchemaError


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
    assert "do not fit the schema 'small'" in message
    assert "click" in message


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
