import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from pipelines.compare import __main__ as command
from pipelines.compare import boosting, job, plan
from pipelines.compare.examples import item_column, load_examples, segments
from pipelines.compare.leaderboard import Entry, build, markdown, write
from pipelines.compare.significance import Parts, auc_parts, difference, gauc_parts, holm
from pipelines.config import DatasetConfig, TrainConfig
from pipelines.input import open_source
from pipelines.jobs import Job, run_jobs
from pipelines.monitor import Monitor
from pipelines.training_run import TrainingRun
from tests.pipelines.small_folder import write_folders
from tests.small_log import declared_schema, learned_schema
from tf_interformer import backbones
from tf_interformer.command import Interrupted, run_command
from tf_interformer.layers import interactions
from tf_interformer.metrics import auc, gauc, mrr, ndcg
from tf_interformer.ranker import Ranker
from tf_interformer.schema import FeatureSchema

CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
FOLDER = Path(plan.__file__).parents[1] / "configs" / "compare"
FILES = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "models.yaml")

BASE = """
dataset: {name: small, format: tfrecord}
model: {embedding: {dim: 4}, tower_units: [8]}
training: {batch_size: 25, epochs: 1, jit_compile: false, learning_rate: 0.01}
"""
COMPARISON = """
base: base.yaml
models:
  linear: {dataset.without: [bought]}
  hiformer: {model.backbone: hiformer, model.backbone_config: {num_layers: 1, num_heads: 2}, dataset.max_length: 3}
  lightgbm: {num_leaves: 4, dataset.without: [viewed_tag, bought], dataset.shuffle_events: true}
  best_possible:
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    base = write_folders(tmp_path_factory.mktemp("log"), lists=True)
    (base / "base.yaml").write_text(BASE)
    (base / "compare.yaml").write_text(COMPARISON)
    return base


def arguments(log, output, *more):
    given = ["--config", str(log / "compare.yaml"), "--data-dir", str(log / "tfrecord"), "--output", str(output)]
    return [*given, "--seeds", "1", *more]


@pytest.fixture(scope="module")
def compared(log, tmp_path_factory):
    """Two networks trained in this process, and the trees, if any, in one of their own by the command."""
    output = tmp_path_factory.mktemp("compared")
    read = plan.read_plan(log / "compare.yaml")
    for model in read.models[:2]:
        run = output / "runs" / model.name / "setting0-seed0"
        given = ["--config", read.base, "--data-dir", str(log / "tfrecord"), "--output", str(run)]
        for setting in read.settings(model, 0, 0):
            given += ["--set", setting]
        assert job.main(given) == 0
    assert command.main(arguments(log, output, "--resume")) == 0
    return output


def test_writes_the_leaderboard(compared):
    result = json.loads((compared / "leaderboard.json").read_text())
    rows = {row["model"]: row for row in result["rows"]}
    assert set(rows) == {"linear", "hiformer"} | ({"lightgbm"} if boosting.is_installed() else set())
    assert [np.mean(row["auc"]) for row in result["rows"]] == sorted((r["auc"][0] for r in rows.values()), reverse=True)
    for row in result["rows"]:
        assert (row["auc_difference"] is None) == (row["model"] == result["best"])
        assert row["milliseconds"] > 0 and row["seconds_per_1000"] > 0
    assert rows["hiformer"]["flops"] > 10 * rows["linear"]["flops"] > 0
    assert (result["examples"], result["users"], result["requests"]) == (50, 5, 10)
    titles = {segment["title"] for segment in result["segments"]}
    assert titles == {"Events in the history", "Examples of the item in training", "List", "User"}
    with (compared / "leaderboard.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [row["model"] for row in table] == [row["model"] for row in result["rows"]]
    assert float(table[0]["auc_mean"]) == result["rows"][0]["auc"][0]
    assert "| hiformer | 0." in (compared / "leaderboard.md").read_text()


def test_what_a_model_goes_without_is_told_of_the_examples_all_the_same(compared, log):
    files = compared.glob("runs/*/setting0-seed0/schema.json")
    schemas = {file.parts[-3]: FeatureSchema.from_json(file) for file in files}
    assert [s.name for s in schemas["linear"].sequences] == ["viewed"]
    assert [s.max_length for s in schemas["hiformer"].sequences] == [3, 3]
    if boosting.is_installed():
        assert [s.event_columns for s in schemas["lightgbm"].sequences] == [("viewed_item",)]
    whole = open_source(DatasetConfig(name="small", format="tfrecord"), log / "tfrecord")
    raw = next(whole.raw_batches("test", 50).as_numpy_iterator())
    with np.load(compared / "examples.npz") as kept:
        lengths = np.minimum(raw["viewed_length"], 6) + np.minimum(raw["bought_length"], 4)
        assert kept["history_length"].tolist() == lengths.tolist()


@pytest.mark.skipif(not boosting.is_installed(), reason="needs LightGBM")
def test_trees_are_counted_by_the_loss_of_corrected_logits(log, tmp_path, monkeypatch):
    import lightgbm

    source = open_source(DatasetConfig(name="small", format="tfrecord"), log / "tfrecord")
    label = source.schema.labels[0].model_copy(update={"negative_rate": 0.2})
    source = replace(source, schema=source.schema.model_copy(update={"labels": (label,)}))
    trained, train = [], lightgbm.train
    monkeypatch.setattr(lightgbm, "train", lambda *args, **kwargs: trained.append(train(*args, **kwargs)) or trained[0])
    config = TrainConfig(
        dataset={"name": "small"}, model={"backbone": "lightgbm", "backbone_config": {"num_leaves": 4}}
    )
    metrics, _ = boosting.fit(config, source, TrainingRun(tmp_path))
    seen = trained[0].best_score["valid_0"]["binary_logloss"]
    assert seen == pytest.approx(metrics["validation"]["click"]["log_loss"], rel=1e-6)


def test_metrics_by_list_are_shown_and_tested(compared):
    result = json.loads((compared / "leaderboard.json").read_text())
    with np.load(compared / "examples.npz") as kept:
        labels, users, lists = (kept[name] for name in ("labels", "groups", "requests"))
    assert lists.tolist() == [i // 5 for i in range(50)] and users.tolist() == [i // 10 for i in range(50)]
    for row in result["rows"]:
        with np.load(compared / "runs" / row["model"] / "setting0-seed0" / "predictions.npz") as kept:
            logits = kept["logits"]
        found = [row[name][0] for name in ("gauc", "request_gauc", "mrr", "ndcg_10")]
        expected = [metric(labels, logits, keys) for metric, keys in ((gauc, users), (gauc, lists), (mrr, lists),
                                                                      (ndcg, lists))]  # fmt: skip
        assert found == pytest.approx(expected, abs=1e-6)
        if row["model"] != result["best"]:
            best = next(r for r in result["rows"] if r["model"] == result["best"])
            difference = row["request_gauc"][0] - best["request_gauc"][0]
            assert row["request_gauc_difference"]["value"] == pytest.approx(difference, abs=1e-6)
    head, *_, counts = (compared / "leaderboard.md").read_text().splitlines()
    assert head.startswith("| model | test AUC | test gAUC | request gAUC | MRR | NDCG@10 | NE | AUC to best |")
    assert counts.endswith("50 test examples of 5 users in 10 lists.")
    with (compared / "leaderboard.csv").open() as stream:
        names = next(csv.reader(stream))
    assert {"request_gauc_mean", "mrr_sd", "ndcg_10_mean", "request_gauc_difference_p_holm"} <= set(names)
    page = (compared / "report.html").read_text()
    for cell in ("<th>request gAUC</th>", "<th>MRR</th>", "<th>NDCG@10</th>", "<th>request gAUC to best", "10 lists"):
        assert cell in page


def test_without_lists_nothing_is_said_of_them(tmp_path):
    metrics = dict.fromkeys(("auc", "gauc", "ne", "log_loss", "calibration", "ece"), 0.5)
    facts = {"parameters": None, "training_seconds": 1.0, "training_examples": 10, "best_epoch": 1}
    logits, labels = np.arange(8.0), np.arange(8) % 2
    entries = [
        Entry(name, (), ({"test": {"click": metrics}, **facts},), (s * logits,)) for name, s in (("a", 1), ("b", -1))
    ]
    costs = {name: {"rows": 8, "flops": None, "milliseconds": 1.0} for name in ("a", "b")}
    result = build(entries, {"labels": labels, "groups": np.arange(8) // 2}, costs)
    assert "requests" not in result and not {"mrr", "request_gauc_difference"} & set(result["rows"][0])
    assert "lists" not in write(tmp_path, result) and "mrr" not in (tmp_path / "leaderboard.csv").read_text()


def test_every_run_keeps_its_predictions_and_nothing_large(compared):
    for run in (compared / "runs").glob("*/setting0-seed0"):
        with np.load(run / "predictions.npz") as kept:
            assert kept["logits"].shape == kept["labels"].shape == (50,) and kept["logits"].dtype == np.float32
            value = auc(kept["labels"], kept["logits"])
        metrics = json.loads((run / "metrics.json").read_text())
        assert metrics["test"]["click"]["auc"] == pytest.approx(value, abs=1e-9)
        assert not (run / "checkpoints").exists() and not (run / "saved_model").exists()


def test_goes_on_without_doing_anything_twice(compared, log, capsys):
    before = {path: path.stat().st_mtime_ns for path in compared.rglob("metrics.json")}
    costs = (compared / "costs.json").stat().st_mtime_ns
    assert command.main(arguments(log, compared, "--resume")) == 0
    assert "[1/" not in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in compared.rglob("metrics.json")} == before
    assert (compared / "costs.json").stat().st_mtime_ns == costs


def test_a_folder_of_something_else_is_told(compared, log, tmp_path, capsys):
    assert command.main(arguments(log, compared)) == 2
    assert "give --resume to go on with it" in capsys.readouterr().err
    (tmp_path / "base.yaml").write_text(BASE.replace("0.01", "0.02"))
    (tmp_path / "compare.yaml").write_text(COMPARISON)
    given = ["--config", str(tmp_path / "compare.yaml"), "--data-dir", str(log / "tfrecord"), "--seeds", "1"]
    assert command.main([*given, "--output", str(compared), "--resume"]) == 2
    assert "holds a run of another configuration" in capsys.readouterr().err


def test_the_report_needs_nothing_beside_it(compared):
    text = (compared / "report.html").read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", text) and "<script" not in text
    assert "default-src 'none'" in text and "one run at a time" in text
    for section in ("Leaderboard", "Segments", "Calibration", "Learning curves", "Information abundance", "Attention"):
        assert section in text
    assert "best_possible, which the runs of networks tell where the log is simulated" in text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: the report was not opened in a browser")
def test_the_report_in_a_browser(compared, tmp_path):
    run = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
           "--window-size=1280,5000", f"--screenshot={tmp_path / 'page.png'}", "--enable-logging=stderr", "--v=0",
           (compared / "report.html").as_uri()]  # fmt: skip
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    assert "Refused to" not in done.stderr and "violates" not in done.stderr
    assert (tmp_path / "page.png").stat().st_size > 20_000


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("base: base.yaml\nmodels: {}\n", "has the models none"),
        ("models: {fm: {}}\n", "base: Field required"),
        ("base: base.yaml\nmodels: {fm: {training.epochs: 2}}\n", "'training.epochs' is the same for all models"),
        ("base: base.yaml\nmodels: {fm: {dataset.labels: [a]}}\n", "'dataset.labels' is the same for all models"),
        ("base: base.yaml\nmodels: {fm: {model.embedding.dim: 2}}\n", "'model.embedding.dim' is the same"),
        ("base: base.yaml\nmodels: {../fm: {model.backbone: fm}}\n", "Received: '../fm'"),
        ("base: base.yaml\nmodels: {linear: }\nsearch: {training.learning_rate: []}\n", "with a value or more"),
        ("base: base.yaml\nmodels: {linear: }\nsearch: {training.learning_rate: [-1]}\n", "training.learning_rate"),
        (
            "base: base.yaml\nmodels: {linear: }\nsettings: {training.epochs: 1}\nsearch: {training.epochs: [1, 2]}\n",
            "Received under both: ['training.epochs']",
        ),
        ("base: none.yaml\nmodels: {linear: }\n", "none.yaml: No such file"),
        ("base: base.yaml\nmodels: {best_possible: }\n", "must name a model to train"),
        ("[]", "must hold a mapping"),
    ],
)
def test_a_wrong_file_is_told(log, tmp_path, capsys, text, named):
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "compare.yaml").write_text(text)
    assert run_command(lambda: plan.read_plan(tmp_path / "compare.yaml")) == 2
    assert named in capsys.readouterr().err


def test_a_model_that_is_not_there_is_told(log, tmp_path, capsys):
    assert command.main(arguments(log, tmp_path / "o", "--models", "fm")) == 2
    assert "has the models linear, hiformer, lightgbm, best_possible" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_monitor_that_the_log_cannot_give_is_told_before_any_run(tmp_path, capsys):
    base = write_folders(tmp_path / "log")  # without lists
    (base / "base.yaml").write_text(BASE.replace("training: {", "training: {monitor: ndcg_10, "))
    (base / "compare.yaml").write_text(COMPARISON)
    assert command.main(arguments(base, tmp_path / "o", "--models", "linear")) == 2
    assert "training.monitor: ndcg_10 needs a schema with a `request` column" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_model_may_have_features_of_its_own(tmp_path):
    (tmp_path / "base.yaml").write_text("dataset: {name: kuairand_pure, builder_config: raw}\n")
    models = (
        "{linear: , lightgbm_made: {dataset.builder_config: by_date, num_leaves: 4}, lightgbm: ,"
        " din: {model.backbone: din, dataset.builder_config: by_date, dataset.without: [tab, hour]}}"
    )
    (tmp_path / "compare.yaml").write_text(f"base: base.yaml\nmodels: {models}\nsearch_lightgbm: {{max_bin: [8, 9]}}\n")
    read = plan.read_plan(tmp_path / "compare.yaml")
    linear, made, trees, din = (read.config(model, 0, 0) for model in read.models)
    found = [config.dataset.builder_config for config in (linear, made, trees, din)]
    assert found == ["raw", "by_date", "raw", "by_date"] and read.dataset.builder_config == "raw"
    assert din.dataset.without == ("tab", "hour") and not linear.dataset.without
    assert made.model.backbone_config == {"num_leaves": 4, "max_bin": 8}
    assert [config.model.backbone for config in (made, trees)] == ["lightgbm", "lightgbm"]
    assert [len(read.candidates_of(model)) for model in read.models] == [1, 2, 2, 1]


def test_a_model_keeps_its_own_value_of_what_is_searched(tmp_path):
    (tmp_path / "base.yaml").write_text("dataset: {name: kuairand_pure}\n")
    (tmp_path / "compare.yaml").write_text(
        "base: base.yaml\nsearch: {training.learning_rate: [0.1, 0.2], training.epochs: [3, 4]}\n"
        "models: {linear: {training.learning_rate: 0.5}, fm: {model.backbone: fm}}\n"
    )
    read = plan.read_plan(tmp_path / "compare.yaml")
    tried = [
        [read.config(model, c, 0).training for c in range(len(read.candidates_of(model)))] for model in read.models
    ]
    found = [[(one.learning_rate, one.epochs) for one in configs] for configs in tried]
    assert found == [[(0.5, 3), (0.5, 4)], [(0.1, 3), (0.1, 4), (0.2, 3), (0.2, 4)]]


def test_the_search_chooses_on_validation(log, tmp_path):
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "compare.yaml").write_text(
        COMPARISON + "search: {training.learning_rate: [0.1, 0.2]}\nsearch_lightgbm: {num_leaves: [3, 4, 5]}\n"
    )
    read = plan.read_plan(tmp_path / "compare.yaml")
    linear, _, trees = read.models
    assert [read.config(linear, c, 3).training.learning_rate for c in (0, 1)] == [0.1, 0.2]
    assert read.config(linear, 0, 3).training.seed == 3 and len(read.candidates_of(linear)) == 2
    assert [read.config(trees, c, 0).model.backbone_config["num_leaves"] for c in (0, 1, 2)] == [3, 4, 5]
    assert len(read.candidates_of(trees)) == 3
    for candidate, (validation, test) in enumerate([(0.6, 0.9), (0.7, 0.1)]):
        run = command._run(tmp_path, linear, candidate, 0)
        run.mkdir(parents=True)
        metrics = {"validation": {"click": {"auc": validation}}, "test": {"click": {"auc": test}}}
        (run / "metrics.json").write_text(json.dumps(metrics))
    assert command._choice(tmp_path, read, linear) == 1
    metrics = {"validation": {"a": {"ne": 0.8}, "b": {"ne": 0.9}}}
    for text, value in (("ne", -0.8), ("b/ne", -0.9)):
        monitor = Monitor.parse(text, ["a", "b"])
        assert monitor.signed(monitor.of(metrics["validation"])) == value


def test_the_files_name_every_model_of_the_package():
    for file in FILES:
        if "models_from: models.yaml" not in file.read_text():
            continue
        configs = [read.config(model, 0, 0).model for read in [plan.read_plan(file)] for model in read.models]
        if "models_from: models.yaml" not in file.read_text():
            continue  # some of them, by name
        assert {config.backbone for config in configs} == {*backbones.names(), "linear", "lightgbm"}
        inside = [c.backbone_config["interaction"] for c in configs if c.backbone == "interformer"]
        classes = [type(interactions.get(name)) for name in inside]
        assert len(set(classes)) == len(classes)
        assert set(classes) == {type(interactions.get(name)) for name in interactions.names()}


def small(settings):
    """The arguments with the feature positions that the small schema has."""
    if isinstance(settings, dict):
        return {key: [0, 1, 2] if key == "fields" else small(value) for key, value in settings.items()}
    return settings


def models_of_the_files():
    found = {}
    for file in FILES:
        read = plan.read_plan(file)
        for model in read.models:
            config = read.config(model, 0, 0).model
            if model.name != plan.LINEAR and not model.is_boosted:
                made = {"backbone": config.backbone, "backbone_config": small(config.backbone_config)}
                found.setdefault(json.dumps(made, sort_keys=True), (f"{file.stem} {model.name}", made))
    return found.values()


@pytest.fixture(scope="module")
def schema():
    return learned_schema()


@pytest.mark.parametrize("made", [pytest.param(made, id=name) for name, made in models_of_the_files()])
def test_every_model_of_the_files_can_be_built(schema, made):
    assert Ranker(schema, **made, embedding={"dim": 16}, tower_units=(8,)).built


def test_linear_has_a_weight_per_id_and_number(schema):
    from pipelines.compare.logistic_regression import linear_backbone

    ranker = Ranker(schema, linear_backbone(schema.tasks), embedding={"dim": 1}, tower_units=())
    assert ranker.towers["click"].count_params() == len(ranker.embedder.feature_names) + len(schema.sequences) + 1
    assert {ranker.embedder.rows_of(name).shape[1] for name in ("item", "user", "tags")} == {1}


# Statistics


@pytest.fixture(scope="module")
def scores():
    random = np.random.default_rng(3)
    users = random.integers(0, 200, 3000)
    labels = (random.random(3000) < 0.3).astype(int)
    taste = random.normal(size=200)[users]
    good = labels + 1.5 * random.normal(size=3000) + 0.3 * taste
    return labels, users, good, good + 0.6 * random.normal(size=3000)


def test_parts_are_the_metric_and_add_up_to_nothing(scores):
    labels, users, good, _ = scores
    rounded = np.round(good, 1)  # ties
    assert auc_parts(labels, rounded, users).value == pytest.approx(auc(labels, rounded))
    assert gauc_parts(labels, rounded, users).value == pytest.approx(gauc(labels, rounded, users))
    lists = lists_of(users)
    by_list = gauc_parts(labels, rounded, users, lists)
    assert by_list.value == pytest.approx(gauc(labels, rounded, lists)) and by_list.by_user.shape == (200,)
    for parts in (auc_parts(labels, rounded, users), gauc_parts(labels, rounded, users), by_list):
        assert parts.by_user.sum() == pytest.approx(0, abs=1e-12)
    assert math.isnan(auc_parts(np.ones(3), np.arange(3.0), np.arange(3)).value)


def lists_of(users):
    """Four lists for each user, numbered in no order."""
    random = np.random.default_rng(4)
    return random.permutation(4 * 200)[4 * users + random.integers(0, 4, users.size)]


@pytest.mark.parametrize("what", ["auc", "gauc", "request_gauc"])
def test_the_error_is_that_of_a_bootstrap_over_users(scores, what):
    labels, users, good, worse = scores
    lists = lists_of(users)
    parts = auc_parts if what == "auc" else gauc_parts
    keys = (users, lists) if what == "request_gauc" else (users,)
    test = difference([parts(labels, good, *keys)], [parts(labels, worse, *keys)])
    error = (test.high - test.low) / 2 / stats.t.ppf(0.975, len(np.unique(users)) - 1)
    random = np.random.default_rng(0)
    rows = [np.flatnonzero(users == user) for user in range(200)]
    drawn = []
    for _ in range(400):
        chosen = [rows[user] for user in random.integers(0, 200, 200)]
        index = np.concatenate(chosen)
        draws = np.repeat(np.arange(200), [len(part) for part in chosen])  # who is drawn twice is two users
        groups = {"auc": (), "gauc": (draws,), "request_gauc": (1000 * draws + lists[index],)}[what]
        metric = auc if what == "auc" else gauc
        drawn.append(metric(labels[index], worse[index], *groups) - metric(labels[index], good[index], *groups))
    assert error == pytest.approx(np.std(drawn), rel=0.15)
    assert test.value == pytest.approx(np.mean(drawn), abs=3 * error / 20 + 1e-3)
    assert test.low < test.value < test.high
    if what != "request_gauc":  # lists of four hold too few pairs to be sure
        assert test.p < 0.01 and test.high < 0


def test_seeds_that_disagree_widen_the_interval(scores):
    labels, users, good, worse = scores
    a, b = auc_parts(labels, good, users), auc_parts(labels, worse, users)
    agreed = difference([a, a, a], [b, b, b])
    differing = difference([a, a, a], [b, a, b._replace(value=2 * b.value - a.value)])
    assert agreed.value == pytest.approx(differing.value)
    assert differing.p > agreed.p and differing.high - differing.low > agreed.high - agreed.low
    assert math.isnan(difference([a], [a]).p)


def test_of_seeds_alone_it_is_a_paired_t_test():
    """Where users hardly disagree, what is left is Student's test of the differences of the seeds."""
    users = 1e-9 * np.array([1.0, -1.0, 1.0, -1.0])
    first, second = [0.7, 0.71, 0.69, 0.72], [0.71, 0.74, 0.70, 0.725]
    test = difference([Parts(value, 0 * users) for value in first], [Parts(value, users) for value in second])
    expected = stats.ttest_rel(second, first)
    low, high = expected.confidence_interval(0.95)
    assert (test.p, test.low, test.high) == pytest.approx((expected.pvalue, low, high), rel=1e-4)


def test_holm():
    assert holm([0.01, math.nan, 0.04, 0.03]) == pytest.approx([0.03, math.nan, 0.06, 0.06], nan_ok=True)


# Parts


def test_examples_of_the_test_split(log, tmp_path):
    source = open_source(DatasetConfig(name="small", format="parquet"), log / "parquet")
    columns = load_examples(tmp_path / "examples.npz", source)
    raw = next(source.raw_batches("test", 50).as_numpy_iterator())
    train = np.concatenate([batch["item"] for batch in source.raw_batches("train", 50).as_numpy_iterator()])
    assert columns["item_frequency"].tolist() == [(train == item).sum() for item in raw["item"]]
    assert columns["history_length"].tolist() == (raw["viewed_length"] + raw["bought_length"]).tolist()
    own = [
        item in raw[f"{name}_item"][row][: raw[f"{name}_length"][row]].tolist()
        for name in ("viewed", "bought")
        for row, item in enumerate(raw["item"].tolist())
    ]
    assert columns["in_history"].tolist() == np.reshape(own, (2, -1)).any(axis=0).tolist()
    assert not columns["known_group"].any()  # each file of `small_folder` has users of its own
    assert columns["requests"].tolist() == [i // 5 for i in range(50)]
    again = load_examples(tmp_path / "examples.npz", source)
    assert all(np.array_equal(again[name], values) for name, values in columns.items())
    for parts in segments(columns).values():
        assert np.sum(list(parts.values()), axis=0).tolist() == [1] * 50
    assert item_column(declared_schema()) == "item"


def test_markdown_names_what_is_missing(compared):
    result = json.loads((compared / "leaderboard.json").read_text())
    known = dict.fromkeys(("auc", "gauc", "request_gauc", "mrr", "ndcg_10", "ne"), 0.9)
    text = markdown(result | {"best_possible": known})
    assert text.splitlines()[2].startswith("| best possible" + " | 0.9000" * 6 + " |")


def test_jobs_run_once_and_a_first_failure_stops_the_others(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 6)

    def make(name, code):
        done = tmp_path / name / "done"
        return Job(name, ("-c", f"import pathlib, sys, time\nd = pathlib.Path({str(done)!r})\n{code}"), done,
                   tmp_path / f"{name}.log")  # fmt: skip

    write = "d.parent.mkdir(); import os; d.write_text(os.environ['OMP_NUM_THREADS'])"
    said: list[str] = []
    run_jobs([make("a", write), make("b", write)], at_once=2, say=said.append)
    assert (tmp_path / "a" / "done").read_text() == "3" and [line[:5] for line in said] == ["[1/2]", "[2/2]"]
    run_jobs([make("a", write)], say=said.append)
    assert len(said) == 2
    failing = [make("c", "sys.exit('no such thing')"), make("d", "time.sleep(60)")]
    assert run_command(lambda: run_jobs(failing, at_once=2, say=said.append)) == 2
    error = capsys.readouterr().err
    assert "failed with status 1" in error and "no such thing" in error and "c.log" in error
    # Once something has worked, the night is not lost for one model.
    assert run_command(lambda: run_jobs([make("e", write), failing[0], make("f", write)])) == 2
    assert "no such thing" in capsys.readouterr().err and (tmp_path / "f" / "done").is_file()


def test_an_interruption_stops_the_jobs(tmp_path):
    code = "import os, signal, time; os.kill(os.getppid(), signal.SIGTERM); time.sleep(60)"
    with pytest.raises(Interrupted, match="signal 15"):
        run_jobs([Job("a", ("-c", code), tmp_path / "done", tmp_path / "a.log")], say=lambda line: None)


def test_the_command_line_is_a_module():
    text = yaml.safe_load((FOLDER / "models.yaml").read_text())
    assert {"linear", "lightgbm", "best_possible"} < set(text)
    assert sys.modules["pipelines.compare.__main__"].main is command.main
