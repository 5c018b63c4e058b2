"""Batches of requests from files by rows and by requests: the same examples, a user once for each request."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pipelines import train
from pipelines.best_column import best_columns
from pipelines.config import ConfigError, DatasetConfig
from pipelines.input import Source, evaluation_dataset, open_source, training_dataset
from pipelines.report import measure
from tests.pipelines.request_folder import ROWS, SIZES, write_folders
from tf_interformer.evaluation import predict
from tf_interformer.preprocessing import LIST_COLUMN, ROW_COLUMN, Preprocessor
from tf_interformer.ranker import Ranker
from tf_interformer.requests import by_rows
from tf_interformer.run_directory import RunDirectory
from tf_interformer.schema import FeatureSchema, Label

FORMATS = ("tfrecord", "parquet", "requests_tfrecord", "requests_parquet")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("log"))


def opened(folders, file_format, **options):
    """A folder of `FORMATS`."""
    config = DatasetConfig(name="mine", format=file_format.removeprefix("requests_"), **options)
    return open_source(config, folders / file_format)


@pytest.fixture(scope="module")
def encode(folders):
    source = opened(folders, "parquet")
    return Preprocessor(source.schema.learn(source.raw_batches("train", 64).as_numpy_iterator()))


def examples(source: Source, split: str, **options) -> list[dict]:
    """Batches as rows, in NumPy."""
    made = source.raw_batches(split, 16, **options)
    if options.get("by_request"):
        made = made.map(lambda batch: by_rows(batch, source.schema))
    return list(made.as_numpy_iterator())


@pytest.mark.parametrize("by_request", [False, True])
@pytest.mark.parametrize("file_format", FORMATS)
def test_the_examples_are_those_of_rows(folders, file_format, by_request):
    whole = examples(opened(folders, "parquet"), "test")
    source = opened(folders, file_format)
    assert [len(batch["item"]) for batch in whole] == [16, 16, 16, 2] and source.outcomes("test").keys() == {
        "click",
        "shown",
        "user",
    }
    for rows, found in zip(whole, examples(source, "test", by_request=by_request), strict=True):
        assert rows.keys() == found.keys()
        for name, value in rows.items():
            np.testing.assert_array_equal(value, found[name], err_msg=name)
            assert value.dtype == found[name].dtype


@pytest.mark.parametrize("file_format", FORMATS)
def test_files_of_requests_are_read_by_requests(folders, file_format):
    source = opened(folders, file_format)
    assert source.by_request == source.of_requests == file_format.startswith("requests")
    assert not opened(folders, file_format, by_request=False).by_request


@pytest.mark.parametrize("file_format", FORMATS[2:])
def test_rows_of_requests_are_shuffled_by_themselves(folders, file_format):
    source = opened(folders, file_format)
    batches = examples(source, "train", shuffle_buffer=1000, seed=1)
    shown = [name for batch in batches for name in batch["shown"].tolist()]
    assert sum(one != other for one, other in pairwise(shown)) > ROWS
    ages = {(row["shown"], row["place"]): row["item"] for batch in batches for row in as_rows(batch)}
    plain = {(row["shown"], row["place"]): row["item"] for b in examples(source, "train") for row in as_rows(b)}
    assert len(ages) == 2 * ROWS and ages == plain


def as_rows(batch):
    return [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_user_is_there_once_for_each_request_of_a_batch(folders, file_format):
    batches = opened(folders, file_format).raw_batches("test", 16, by_request=True).as_numpy_iterator()
    found = [(len(b["user"]), len(b["item"]), b["shown"].tolist()) for b in batches]
    names = np.repeat([f"3-{i}".encode() for i in range(len(SIZES))], SIZES)
    cut = [names[start : start + 16] for start in range(0, ROWS, 16)]
    assert found == [(len(set(part)), len(part), list(dict.fromkeys(part))) for part in cut]


@pytest.mark.parametrize("file_format, lists", [*zip(FORMATS, [None, "group"] * 2, strict=True), (FORMATS[0], "group")])
def test_requests_are_shuffled_whole(folders, file_format, lists):
    source = opened(folders, file_format)

    def order(seed, **options):
        options |= {"shuffle_buffer": 1000, "seed": seed, "lists": lists, "by_request": True}
        batches = examples(source, "train", **options)
        return [np.concatenate([batch[name] for batch in batches]).tolist() for name in ("shown", "user", "place")]

    shown, users, places = found = order(1)
    begins = [place for place, name in enumerate(shown) if place == 0 or name != shown[place - 1]]
    assert len(begins) == len(set(shown)) == 2 * len(SIZES) and sorted(places) == sorted(examples_of(source, "place"))
    changes = sum(one != other for one, other in pairwise(users))
    assert (changes == len(set(users)) - 1) == (lists == "group"), "requests of a user together where lists are users"
    assert order(1) == found and order(2)[0] != shown and order(1, skip=2)[2] == places[32:]


def examples_of(source: Source, column: str) -> list:
    return np.concatenate([batch[column] for batch in source.raw_batches("train", 16).as_numpy_iterator()]).tolist()


@pytest.mark.parametrize("file_format", FORMATS)
def test_training_takes_requests(folders, file_format, encode):
    source = opened(folders, file_format, by_request=True)
    assert source.by_request
    batches = list(training_dataset(source, encode, 32, examples=2 * ROWS, lists="request"))
    assert len(batches) == 3
    for encoded, labels, weights in batches:
        rows = {name: len(value) for name, value in encoded.items()}
        assert rows["item"] == rows["place"] == rows["viewed_item_match"] == rows[ROW_COLUMN] == rows[LIST_COLUMN] == 32
        assert rows["user"] == rows["viewed_item"] == rows["viewed_length"] < 32
        assert labels["click"].shape == (32, 1) and weights.shape == (32,)
        own = zip(encoded[LIST_COLUMN].numpy().tolist(), encoded[ROW_COLUMN].numpy().tolist(), strict=True)
        assert len(set(own)) == len(set(encoded[LIST_COLUMN].numpy().tolist())) <= rows["user"]


def test_sizes_of_batches_are_few(folders, encode, monkeypatch):
    monkeypatch.setattr("pipelines.input._REQUEST_SIZES", 4)
    source = opened(folders, "parquet", by_request=True)
    sizes = {len(encoded["user"]) for encoded, *_ in training_dataset(source, encode, 16, examples=2 * ROWS)}
    assert all(size % 4 == 0 for size in sizes)


@pytest.mark.parametrize("file_format", FORMATS)
def test_negatives_are_dropped_by_rows(folders, file_format):
    source = opened(folders, file_format)
    labels = (Label("click", negative_rate=0.5, downsample=True),)
    source = replace(source, schema=source.schema.replace(labels=labels))
    options = {"shuffle_buffer": 1000, "seed": 3}
    kept, requests = (examples(source, "train", by_request=form, **options) for form in (False, True))
    places = [sorted(np.concatenate([batch["place"] for batch in batches]).tolist()) for batches in (kept, requests)]
    assert len(places[0]) < 2 * ROWS and places[0] == places[1]


def test_evaluation_gives_the_numbers_of_rows(folders, encode):
    ranker = Ranker(encode.schema, "din", embedding={"dim": 4, "stddev": 0.5}, tower_units=(4,))
    found = []
    for by_request in (True, False):
        source = opened(folders, "parquet", by_request=by_request)
        found.append(predict(ranker, evaluation_dataset(source, encode, "test", 16)))
    requests, rows = found
    np.testing.assert_allclose(requests.logits["click"], rows.logits["click"], atol=1e-5)
    assert len(rows.logits["click"]) == ROWS and np.ptp(rows.logits["click"]) > 1e-3
    np.testing.assert_array_equal(requests.labels["click"], rows.labels["click"])
    for role in ("group", "request"):
        np.testing.assert_array_equal(requests.others[role], rows.others[role])
    assert best_columns(source, encode, {"train": 2 * ROWS, "validation": ROWS}).keys() == {"click"}


CONFIG = """
dataset: {name: mine, format: parquet}
model: {backbone: fm, backbone_config: {}, embedding: {dim: 4}, tower_units: [4], list_loss: 0.3}
training: {batch_size: 16, epochs: 1, jit_compile: false, monitor: request_gauc}
"""


def test_a_run_on_requests(folders, tmp_path, nothing_exported_or_drawn):
    (tmp_path / "config.yaml").write_text(CONFIG)
    given = ["--config", str(tmp_path / "config.yaml"), "--output", str(tmp_path / "run")]
    assert train.main([*given, "--data-dir", str(folders / "requests_parquet")]) == 0
    run = RunDirectory(tmp_path / "run")
    by_rows = opened(folders, "requests_parquet", by_request=False)
    measured, _ = measure(run.load_model(), by_rows, 16)
    for split in ("validation", "test"):
        assert measured[split]["click"] == pytest.approx(run.finished()[split]["click"], abs=1e-5)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"request": None}, r"dataset.by_request: .*does not say which rows are of one request"),
        ({"candidate": ()}, r"dataset.by_request: .*does not say which features differ"),
    ],
)
def test_a_schema_without_requests(folders, tmp_path, change, message):
    schema = FeatureSchema.from_json(folders / "parquet" / "schema.json")
    if not change.get("candidate", True):
        change |= {"sequences": tuple(sequence.replace(match=()) for sequence in schema.sequences)}
    for file in (folders / "parquet").iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "schema.json").unlink()
    schema.replace(**change).to_json(tmp_path / "schema.json")
    with pytest.raises(ConfigError, match=message):
        open_source(DatasetConfig(name="mine", format="parquet", by_request=True), tmp_path)
