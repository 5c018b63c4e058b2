"""The simulated log is what its docstring says: decided by its seed, honest about its probabilities, free of leaks."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from pipelines.datasets import build
from pipelines.datasets.synthetic_clicks import (
    PROBABILITY_COLUMNS,
    Builder,
    Effects,
    SyntheticClicksConfig,
    best_possible,
    click_logit_parts,
    schema,
    simulate,
    split_by_time,
    true_probabilities,
)
from pipelines.datasets.synthetic_clicks.__main__ import main
from pipelines.datasets.synthetic_clicks.catalogue import FIRST_ITEM_ID, catalogue
from pipelines.datasets.synthetic_clicks.equation import COLOURS, affinities, most_recent
from pipelines.datasets.synthetic_clicks.vocabulary import BRANDS, CATEGORIES, STRING_COLUMNS

LABELS = ("is_click", "is_purchase")
NUM_EXAMPLES = 20_000


@pytest.fixture(scope="module")
def log():
    return simulate(NUM_EXAMPLES, seed=3)


def assert_same(some, other):
    assert list(some) == list(other)
    for name in some:
        np.testing.assert_array_equal(some[name], other[name], err_msg=name)


def test_seed_decides_everything():
    some, same, other = simulate(200, seed=5), simulate(200, seed=5), simulate(200, seed=6)
    assert_same(some, same)
    assert (some["item_id"] != other["item_id"]).any()


def test_labels_do_not_leak_into_features():
    some, other = simulate(2000, seed=5), simulate(2000, seed=5, label_seed=9)
    for label in LABELS:
        assert (some.pop(label) != other.pop(label)).any()
    assert_same(some, other)


def test_items_of_a_list_differ_in_what_is_the_items_alone():
    log = simulate(3000, seed=4, list_size=10)
    theirs = {*schema().candidate, *LABELS, *PROBABILITY_COLUMNS.values()}
    for name, values in log.items():
        by_list = values.reshape(300, 10, -1)
        assert (by_list == by_list[:, :1]).all() == (name not in theirs), name
    assert len(set(log["list_id"].tolist())) == 300
    assert 60 < len(set(log["user_id"].tolist())) < 76
    lists = [set(split["list_id"].tolist()) for split in split_by_time(log).values()]
    assert not lists[0] & lists[1] and not lists[1] & lists[2]
    with pytest.raises(ValueError, match=r"`list_size` must divide `num_examples`\. Received: 7, of 100"):
        simulate(100, list_size=7)


def test_the_schema_of_lists_names_them():
    assert schema().request is None and schema(lists=True).request == "list_id"
    options = {config.name: config.schema_options for config in Builder.BUILDER_CONFIGS}
    assert options["lists"] == options["few_lists"] == {"lists": True} and not options["default"]["lists"]


@pytest.mark.parametrize("num_examples", [1, 2, 11, 100])
def test_any_size(num_examples):
    log = simulate(num_examples, seed=num_examples)
    assert {len(values) for values in log.values()} == {num_examples}
    assert sum(len(split["is_click"]) for split in split_by_time(log).values()) == num_examples


@pytest.mark.parametrize("num_examples", [0, -3])
def test_no_size(num_examples):
    with pytest.raises(ValueError, match=f"at least 1. Received: {num_examples}"):
        simulate(num_examples)


def test_columns_are_those_of_the_schema(log):
    signature = schema(labels=None).signature(labels=True)
    beside = {"timestamp", *PROBABILITY_COLUMNS.values()}
    assert set(log) == set(signature) | beside
    assert not beside & {feature.name for feature in schema().features}
    for name, spec in signature.items():
        values = log[name]
        assert values.ndim == spec.shape.rank, name
        if spec.dtype == tf.string:
            assert all(isinstance(value, str) for value in values.flat), name
        elif spec.dtype == tf.float32:
            assert values.dtype == (np.int64 if name in LABELS else np.float32), name
        else:
            assert values.dtype == spec.dtype.as_numpy_dtype, name


def test_schema_has_the_labels_asked_for():
    assert schema().tasks == ("is_click",)
    assert schema(labels=None).tasks == LABELS
    assert schema(labels=["is_purchase"]).tasks == ("is_purchase",)
    assert schema().group == "user_id"


def test_values_are_plausible(log):
    for name, names in STRING_COLUMNS.items():
        assert set(log[name].flat) - {""} == set(names), name
    assert "" in log["age_band"]
    assert 0.1 < np.isnan(log["rating"]).mean() < 0.2
    assert not np.isnan(log["price"]).any()
    assert (log["price"] > 0).all()
    seen = np.sort(np.unique(log["item_id"], return_counts=True)[1])[::-1]
    assert seen[: len(seen) // 10].sum() > 0.25 * seen.sum()  # a long tail
    impressions = np.unique(log["user_id"], return_counts=True)[1]
    assert impressions.max() > 3 * impressions.mean()


def test_item_columns_are_the_catalogue_s(log):
    shop = catalogue()
    item = log["item_id"] - FIRST_ITEM_ID
    assert (np.array(CATEGORIES, object)[shop.category[item]] == log["category"]).all()
    assert (np.array(BRANDS, object)[shop.brand[item]] == log["brand"]).all()


def test_histories_are_aligned_padded_and_sometimes_empty(log):
    for sequence in schema().sequences:
        lengths = log[sequence.length_column]
        assert lengths.min() == 0
        assert lengths.max() == sequence.max_length
        assert (lengths == 0).mean() > 0.05
        for field in sequence.fields:
            values = log[sequence.column(field.name)]
            there = np.arange(sequence.max_length) < lengths[:, None]
            assert ((values != field.missing) == there).all(), field.name


def test_histories_are_oldest_first(log):
    """What a user's later impression adds is at the end: the earlier history, or its end, is found before it."""
    checked = 0
    order = np.lexsort([log["timestamp"], log["user_id"]])
    for before, after in itertools.pairwise(order[:3000]):
        old, new = (log["viewed_category"][i, : log["viewed_length"][i]].tolist() for i in (before, after))
        if log["user_id"][before] == log["user_id"][after] and len(old) > 2 and len(new) < 16:
            assert new[: len(old)] == old
            checked += len(new) > len(old)
    assert checked > 20


def test_splits_are_disjoint_in_time(log):
    splits = split_by_time(log)
    assert list(splits) == ["train", "validation", "test"]
    assert sum(len(split["timestamp"]) for split in splits.values()) == NUM_EXAMPLES
    ends = [(split["timestamp"].min(), split["timestamp"].max()) for split in splits.values()]
    assert ends[0][1] < ends[1][0]
    assert ends[1][1] < ends[2][0]
    assert (log["hour"] == log["timestamp"] // 3600 % 24).all()


@pytest.mark.parametrize("label", LABELS)
def test_labels_follow_their_probabilities(log, label):
    p, y = log[f"probability_{label}"].astype(np.float64), log[label]
    assert (p > 0).all()
    assert (p < 1).all()
    for inside in (p < 0.1, (p >= 0.1) & (p < 0.3), (p >= 0.3) & (p < 0.6), p >= 0.6):
        deviation = (y - p)[inside].sum() / np.sqrt((p * (1 - p))[inside].sum())
        assert abs(deviation) < 4


def test_a_purchase_is_a_click(log):
    assert (log["is_purchase"] <= log["is_click"]).all()
    assert (log["probability_is_purchase"] < log["probability_is_click"]).all()


def test_probabilities_are_a_function_of_the_columns(log):
    features = {name: values for name, values in log.items() if name in schema().signature()}
    for label, probability in true_probabilities(features).items():
        np.testing.assert_allclose(probability, log[f"probability_{label}"], rtol=1e-6)
    total = sum(click_logit_parts(features).values())
    np.testing.assert_allclose(1 / (1 + np.exp(-total)), log["probability_is_click"], rtol=1e-5)


def test_equation_equals_a_naive_one(log):
    """The parts that need the histories, example by example from the docstring's words."""
    effects = Effects()
    parts = click_logit_parts(log)
    liking = {"skip": -1.0, "glance": -0.4, "save": 0.8, "cart": 1.4}
    for i in range(300):
        n = log["viewed_length"][i]
        events = list(zip(log["viewed_category"][i, :n], log["viewed_reaction"][i, :n], strict=True))
        warms = [(1 if CATEGORIES.index(category) // 5 in (0, 2) else -1) * liking[r] for category, r in events]
        mood = sum(weight * w for weight, w in zip((1.0, 0.6), reversed(warms), strict=False))
        assert parts["mood"][i] == pytest.approx(effects.mood * mood)

        likings = [liking[r] for category, r in events if category == log["category"][i]]
        memory = sum(likings) / len(likings) if likings else 0.0
        memory += 0.3 * (log["category"][i] in log["searched_category"][i].tolist())
        assert parts["memory"][i] == pytest.approx(effects.memory * memory)

        intent = 0.0
        for weight, (category, _), tables in zip((1.0, 0.6), reversed(events), affinities(), strict=False):
            for column in ("brand", "style", "surface", "age_band", "region"):
                if log[column][i]:
                    value = STRING_COLUMNS[column].index(log[column][i])
                    intent += weight * tables[column][CATEGORIES.index(category), value]
        assert parts["intent"][i] == pytest.approx(effects.intent * intent)


def test_affinities_have_no_main_effects():
    for tables in affinities():
        assert set(tables) == set(COLOURS)
        for column, table in tables.items():
            assert table.shape == (len(CATEGORIES), len(STRING_COLUMNS[column]))
            np.testing.assert_allclose(table.mean(axis=0), 0.0, atol=1e-12)
            np.testing.assert_allclose(table.mean(axis=1), 0.0, atol=1e-12)
        assert sum(np.var(table) for table in tables.values()) == pytest.approx(1.0)


def test_most_recent():
    values = np.array([[1, 2, 3], [4, -1, -1], [-1, -1, -1]])
    lengths = np.array([3, 1, 0])
    assert most_recent(values, lengths).tolist() == [3, 4, -1]
    assert most_recent(values, lengths, back=2).tolist() == [2, -1, -1]


def reversed_history(log, names):
    changed = dict(log)
    for name in names:
        values = log[name].copy()
        for row, length in enumerate(log["viewed_length"]):
            values[row, :length] = values[row, :length][::-1]
        changed[name] = values
    return changed


VIEWED = ("viewed_category", "viewed_reaction")


@pytest.mark.parametrize(
    ("effect", "change"),
    [
        ("mood", lambda log: reversed_history(log, VIEWED)),  # order
        ("mood", lambda log: reversed_history(log, ["viewed_reaction"])),  # pairing
        ("memory", lambda log: log | {"category": np.roll(log["category"], 1)}),  # the item selects
        ("memory", lambda log: reversed_history(log, ["viewed_reaction"])),
        ("memory", lambda log: log | {"searched_category": np.roll(log["searched_category"], 1, axis=0)}),
        ("intent", lambda log: reversed_history(log, VIEWED)),
        ("intent", lambda log: log | {"style": np.roll(log["style"], 1)}),
        ("intent", lambda log: log | {"age_band": np.roll(log["age_band"], 1)}),
        ("main", lambda log: log | {"tags": np.roll(log["tags"], 1, axis=0)}),
        ("main", lambda log: log | {"price": np.roll(log["price"], 1)}),
    ],
)
def test_every_effect_moves_the_probability(effect, change):
    log = simulate(1000, seed=4)
    before, after = click_logit_parts(log)[effect], click_logit_parts(change(log))[effect]
    assert np.std(after - before) > 0.05
    assert not click_logit_parts(log, Effects(**{effect: 0.0}))[effect].any()


def test_padding_has_no_effect():
    log = simulate(500, seed=4)
    changed = dict(log)
    for sequence in schema().sequences:
        there = np.arange(sequence.max_length) < log[sequence.length_column][:, None]
        for field in sequence.fields:
            if (sequence.name, field.name) != ("searched", "category"):
                name = sequence.column(field.name)
                changed[name] = np.where(there, log[name], log[name].max())
    np.testing.assert_array_equal(true_probabilities(changed)["is_click"], true_probabilities(log)["is_click"])


@pytest.mark.parametrize("label", LABELS)
def test_best_possible_beats_other_probabilities(log, label):
    column = f"probability_{label}"
    shuffled = log | {column: np.random.default_rng(0).permutation(log[column])}
    best, worse = best_possible(log, label), best_possible(shuffled, label)
    for split in ("train", "validation", "test"):
        assert best[split]["auc"] > 0.8 > worse[split]["auc"]
        assert best[split]["gauc"] > 0.75 > worse[split]["gauc"]
        assert best[split]["log_loss"] < worse[split]["log_loss"]
        assert best[split]["ne"] < 0.9


def test_each_effect_carries_auc(log):
    """Knowing all but one effect costs a clear part of the best possible AUC."""
    parts = click_logit_parts(log)
    best = best_possible(log)["test"]["auc"]
    for effect in ("mood", "memory", "intent"):
        without = sum(values for name, values in parts.items() if name != effect)
        cut = log | {"probability_is_click": 1 / (1 + np.exp(-without))}
        assert best_possible(cut)["test"]["auc"] < best - 0.015


def test_command_prints_the_best_possible(capsys):
    assert main(["--num-examples", "500"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["label", "split", "examples", "rate", "AUC", "gAUC", "log", "loss", "NE"]
    assert len(lines) == 7
    with pytest.raises(SystemExit):
        main(["--num-examples", "0"])


def test_builder_writes_the_log(tmp_path):
    """Read back by the batch, as training does, every split holds what was simulated (in TFDS's shuffled order)."""
    built = build("synthetic_clicks", "tiny", prepared_dir=tmp_path)
    assert built.default_labels == ("is_click",)
    assert dict(built.probability_columns) == PROBABILITY_COLUMNS
    splits = split_by_time(simulate(2000))
    spec = built.schema.parsing_spec()
    spec |= dict.fromkeys(built.probability_columns.values(), tf.io.FixedLenFeature([], tf.float32))
    spec["timestamp"] = tf.io.FixedLenFeature([], tf.int64)
    assert set(built.files) == set(splits)
    for split, columns in splits.items():
        records = list(tf.data.TFRecordDataset(list(built.files[split])))
        parsed = tf.io.parse_example(tf.stack(records), spec)
        stored = {n: v.numpy() for n, v in built.schema.dense_batch(parsed).items()}
        stored |= {name: parsed[name].numpy() for name in ("timestamp", *PROBABILITY_COLUMNS.values())}
        by_key = [np.lexsort([c["price"], c["user_id"], c["timestamp"]]) for c in (columns, stored)]
        for name, expected in columns.items():
            values = stored[name]
            if values.dtype == object:
                values = np.vectorize(bytes.decode, otypes=[object])(values)
            expected = expected[by_key[0]]
            if expected.ndim == 2:
                expected = expected[:, : values.shape[1]]
            np.testing.assert_array_equal(values[by_key[1]], expected, err_msg=name)


def test_builder_reads_as_tfds(tmp_path):
    config = SyntheticClicksConfig(name="hundred", num_examples=300, seed=1)
    builder = Builder(config=config, data_dir=tmp_path)
    builder.download_and_prepare()
    example = next(iter(builder.as_dataset(split="train")))
    assert set(example) == set(builder.info.features)
    assert example["viewed_category"].shape.rank == 1
    assert sum(builder.info.splits[split].num_examples for split in ("train", "validation", "test")) == 300
    with pytest.raises(ValueError, match="at least 100"):
        SyntheticClicksConfig(name="small", num_examples=9)


def test_two_runs_that_start_together_build_it_once(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: build("synthetic_clicks", "tiny", prepared_dir=tmp_path), range(2))
    assert first == second and all(first.files.values())
