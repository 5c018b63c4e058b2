import json
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipelines import ablate, evaluate, train, training
from pipelines.building import build_optimizer, build_ranker
from pipelines.config import ConfigError, load_config
from pipelines.input import open_source
from pipelines.sizing import Differences
from pipelines.training_run import TrainingRun
from serving import score
from tests.pipelines.small_folder import write_folders
from tests.small_log import learned_schema
from tf_interformer import embedding, optimizers
from tf_interformer._keras import LEGACY, keras
from tf_interformer.ranker import Ranker
from tf_interformer.schema import Categorical, FeatureSchema

CONFIG = """
dataset: {name: small, format: tfrecord}
model:
  backbone_config: {num_layers: 1, information_flow: sole, interaction: dot, dropout: 0.2}
  embedding: {dim: 4, dropout: 0.1, unknown: 0.3}
  tower_units: [8]
  tower_dropout: 0.2
training: {batch_size: 16, epochs: 2, jit_compile: false, learning_rate: 0.01}
"""


@pytest.fixture(scope="module", autouse=True)
def small_tables_are_forgotten_too():
    """Tables of few ids never are; those of the tests are small."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(embedding, "FEW_IDS", 2)
        yield


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    base = write_folders(tmp_path_factory.mktemp("log"))
    (base / "config.yaml").write_text(CONFIG)
    return base


def arguments(log, run, *settings, file_format="tfrecord"):
    given = ["--config", str(log / "config.yaml"), "--data-dir", str(log / file_format), "--output", str(run)]
    for setting in settings:
        given += ["--set", setting]
    return given


@pytest.fixture(scope="module")
def run(log, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "one"
    assert train.main(arguments(log, path)) == 0
    return path


def test_writes_what_it_promises(run):
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    plots = {f"plots/{name}.png" for name in ("learning_curves", "calibration", "scores", "roc")}
    assert {"metrics.json", "model.keras", "saved_model/1/saved_model.pb", "example_request.json", *plots} <= names
    assert not [name for name in names if "tmp" in name]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["training_examples"] == 100
    assert metrics["validation"]["click"]["examples"] == metrics["test"]["click"]["examples"] == 50
    assert 1 <= metrics["best_epoch"] <= metrics["epochs"] == 2
    assert 0.5 < metrics["best_column"]["click"]["auc"] < 1
    assert list((run / "tensorboard").iterdir())


@pytest.mark.usefixtures("nothing_exported_or_drawn")
def test_lists(tmp_path, monkeypatch, capsys):
    """Where the schema names the list, its metrics are told, choose the epoch, and are measured again.

    How much of the loss is within lists is chosen by the log; a run that was stopped knows it again.
    """
    file_format = "tfrecord" if LEGACY else "parquet"
    base = write_folders(tmp_path / "log", lists=True)
    (base / "config.yaml").write_text(CONFIG)
    settings = ("model.list_loss=auto", "training.lists=request", f"dataset.format={file_format}")
    settings += ("training.monitor=mrr", "training.epochs=1", "training.checkpoint_minutes=0")
    given = arguments(base, tmp_path / "run", *settings, file_format=file_format)
    monkeypatch.setattr(Differences, "share", lambda self: 0.5)
    save = TrainingRun.save_state

    def save_and_stop(self, ranker, state):
        save(self, ranker, state)
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(TrainingRun, "save_state", save_and_stop)
        assert train.main(given) == 130
    assert "model.list_loss: 0.3, since 50% of the label's variance" in capsys.readouterr().out
    monkeypatch.setattr(Differences, "share", lambda self: 0.0)
    assert train.main(given) == 0
    printed = capsys.readouterr().out
    assert re.search(r" gauc +request_gauc +mrr +ndcg_10 +log_loss ", printed)
    assert Ranker.from_file(tmp_path / "run" / "model.keras").list_loss == 0.3
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for split in ("validation", "test"):
        found = metrics[split]["click"]
        assert all(0 < found[name] < 1 for name in ("gauc", "request_gauc", "mrr", "ndcg_10"))
        assert found["request_gauc"] != found["gauc"]
    assert f"{metrics['test']['click']['mrr']:13.4f}" in printed
    assert evaluate.main([str(tmp_path / "run"), "--data-dir", str(base / file_format)]) == 0


def test_a_loss_within_lists_needs_their_key(log, tmp_path, capsys):
    settings = ("model.list_loss=0.3", "training.lists=request")
    assert train.main(arguments(log, tmp_path / "run", *settings)) == 2
    assert (
        "model.list_loss needs a schema with a `request` column, and 'small' has none. Received: 0.3"
        in capsys.readouterr().err
    )


def test_evaluate_reproduces_the_metrics(run, log, capsys):
    assert evaluate.main([str(run), "--data-dir", str(log / "tfrecord")]) == 0
    assert "equal to" in capsys.readouterr().out
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["test"]["click"]["auc"] += 1e-3
    metrics["best_column"] = {"click": {"column": "item", "auc": 0.999}}
    other = run.parent / "tampered"
    if not other.exists():
        other.mkdir()
        for name in ("config.yaml", "model.keras"):
            (other / name).symlink_to(run / name)
    (other / "metrics.json").write_text(json.dumps(metrics))
    assert evaluate.main([str(other), "--data-dir", str(log / "tfrecord")]) == 2
    told = capsys.readouterr()
    assert "test/click/auc" in told.err
    assert "is not 0.005 above that of 'item' alone, 0.9990" in told.out


def test_model_and_saved_model_agree_on_the_example_request(run, capsys):
    request = run / "example_request.json"
    assert score.main([str(run / "saved_model" / "1"), str(request)]) == 0
    printed = dict(line.split(": ") for line in capsys.readouterr().out.strip().splitlines())
    from serving.request import parse_request

    ranker = Ranker.from_file(run / "model.keras")
    expected = ranker.score(parse_request(ranker.schema, request.read_text()))["click"][0]
    assert float(printed["probability"]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("nothing_exported_or_drawn")
def test_stopped_and_resumed_equals_uninterrupted(run, log, tmp_path, monkeypatch, capsys):
    """The same seed gives the same run, stopped after the second batch and within the second epoch, too."""
    saves = 0
    save = TrainingRun.save_state

    def save_and_stop(self, ranker, state):
        nonlocal saves
        save(self, ranker, state)
        saves += 1
        if saves in (2, 9):
            os.kill(os.getpid(), signal.SIGTERM)

    settings = ("training.checkpoint_minutes=0",)  # saves after every batch
    with monkeypatch.context() as patched:
        patched.setattr(TrainingRun, "save_state", save_and_stop)
        for epoch in (1, 2):
            assert train.main(arguments(log, tmp_path / "run", *settings)) == 130
            told = capsys.readouterr()
            assert "stopped by signal 15" in told.err
            assert ("resuming at epoch" in told.out) == (epoch == 2)
            assert not (tmp_path / "run" / "metrics.json").exists()
    assert train.main(arguments(log, tmp_path / "run", *settings)) == 0
    assert "resuming at epoch 2" in capsys.readouterr().out
    whole, resumed = (json.loads((path / "metrics.json").read_text()) for path in (run, tmp_path / "run"))
    assert whole["best_epoch"] == resumed["best_epoch"]
    for split in ("validation", "test"):
        for name in ("auc", "log_loss"):
            assert resumed[split]["click"][name] == pytest.approx(whole[split]["click"][name], rel=1e-6)


def test_killed_between_two_renames_the_older_state_is_found(run, tmp_path):
    directory = TrainingRun(tmp_path / "run")
    directory.latest.parent.mkdir(parents=True)
    source = TrainingRun(run).latest
    for path in source.iterdir():
        target = directory.latest.with_suffix(".old") / path.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    directory.latest.with_suffix(".tmp").mkdir()
    loaded = directory.load_state()
    assert loaded is not None
    assert loaded[1].finished


def test_a_finished_run_is_left_alone(run, log, capsys):
    before = (run / "model.keras").stat().st_mtime_ns
    assert train.main(arguments(log, run)) == 0
    assert "is finished" in capsys.readouterr().out
    assert (run / "model.keras").stat().st_mtime_ns == before


def test_another_configuration_is_not_mixed_in(run, log, capsys):
    assert train.main(arguments(log, run, "training.epochs=9")) == 2
    assert "holds a run of another configuration" in capsys.readouterr().err


def test_a_folder_of_something_else_is_not_touched(log, tmp_path, capsys):
    (tmp_path / "letters.txt").write_text("dear")
    assert train.main(arguments(log, tmp_path)) == 2
    assert "is not empty and holds no run" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.backbone=transformerr", "model.backbone must be one of .*Received: 'transformerr'"),
        (
            "model.backbone_config.layers=3",
            "'interformer' has no layers. Did you mean 'num_layers'\\? It takes .*num_layers",
        ),
        ("model.embedding.width=3", "model.embedding: the embedding has no width. It takes dim, "),
        ("training.monitor=accuracy", "training.monitor must be"),
        ("training.monitor=like/auc", r"a task of \['click'\]. Received: 'like/auc'"),
        ("training.monitor=request_gauc", "request_gauc needs a schema with a `request` column, and 'small' has none"),
        ("training.monitor=click/mrr", "needs a schema with a `request` column.* Received: 'click/mrr'"),
        ("training.monitor=ndcg_10", "training.monitor: ndcg_10 needs"),
        ("training.optimizer=adamant", "training.optimizer 'adamant'"),
        ("dataset.labels=[like]", "dataset.labels"),
    ],
)
def test_what_the_configuration_gets_wrong_is_one_message(log, tmp_path, capsys, setting, message):
    assert train.main(arguments(log, tmp_path / "run", setting)) == 2
    error = capsys.readouterr().err
    assert re.search(f"error: .*{message}", error, re.DOTALL), error
    assert "Traceback" not in error


@pytest.mark.parametrize("monitor", ["gauc", "gauc_click_weighted", "mrr"])
def test_a_metric_that_the_schema_cannot_give_is_told_before_anything_is_read(log, tmp_path, capsys, monitor):
    folder = tmp_path / "log"
    folder.mkdir()
    for path in (log / "tfrecord").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    schema = FeatureSchema.from_json(folder / "schema.json").model_copy(update={"group": None})
    schema.to_json(folder / "schema.json")
    given = ["--config", str(log / "config.yaml"), "--data-dir", str(folder), "--output", str(tmp_path / "run")]
    assert train.main([*given, "--set", f"training.monitor={monitor}"]) == 2
    said = capsys.readouterr()
    assert f"{monitor} needs a schema with a `{'request' if monitor == 'mrr' else 'group'}` column" in said.err
    assert "training examples read" not in said.out


@pytest.mark.usefixtures("nothing_exported_or_drawn")
def test_a_truncated_file_is_one_message(run, log, tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in (log / "tfrecord").iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    cut = broken / "train-1.tfrecord"
    cut.write_bytes(cut.read_bytes()[:-10])
    other = tmp_path / "run"
    given = ["--config", str(log / "config.yaml"), "--data-dir", str(broken), "--output", str(other)]
    assert train.main(given) == 2
    assert "train-1.tfrecord is broken after" in capsys.readouterr().err
    # nothing half-learned is left: with the file mended, the same command works
    cut.write_bytes((log / "tfrecord" / cut.name).read_bytes())
    assert train.main([*given, "--set", "training.epochs=2", "--set", "training.seed=5"]) == 0
    one, other = (json.loads((path / "metrics.json").read_text()) for path in (run, other))
    assert other["test"]["click"]["log_loss"] != pytest.approx(one["test"]["click"]["log_loss"], rel=1e-6), "the seed"


def test_optimizer_and_schedule():
    def config(*settings):
        path = Path(__file__).parents[2] / "pipelines" / "configs" / "kuairand.yaml"
        return load_config(path, settings).training

    def schedule(*settings):
        optimizer = build_optimizer(config(*settings, "training.learning_rate=0.1", "training.epochs=2"), steps=50)
        assert isinstance(optimizer._learning_rate, keras.optimizers.schedules.CosineDecay)
        return [round(float(optimizer._learning_rate(step)), 4) for step in (0, 5, 10, 55, 100)]

    assert schedule("training.warmup_steps=10", "training.decay=none") == [0.0, 0.05, 0.1, 0.1, 0.1]
    assert schedule("training.warmup_steps=10", "training.decay=cosine") == [0.0, 0.05, 0.1, 0.05, 0.0]
    assert schedule("training.warmup_steps=0", "training.decay=cosine")[::4] == [0.1, 0.0]
    plain = config(
        "training.warmup_steps=0", "training.decay=none", "training.clip_norm=1.0", "training.weight_decay=0.01"
    )
    optimizer = build_optimizer(plain, steps=50)
    assert (optimizer.global_clipnorm, optimizer.weight_decay) == (1.0, 0.01)
    assert float(optimizer.learning_rate) == pytest.approx(plain.learning_rate)
    settings = ("training.optimizer=lazy_adam", "training.table_learning_rate=0.1", "training.bias_correction=rows")
    assert build_optimizer(config(*settings), steps=50).tables.bias_correction == "rows"


@pytest.mark.parametrize("tables", [(), ("training.optimizer=lazy_adam", "training.table_learning_rate=0.002")])
def test_rates_fall_where_validation_no_longer_improves(log, tmp_path, monkeypatch, tables):
    settings = ("training.epochs=4", "training.patience=3", "training.decay=plateau", "training.learning_rate=0.01")
    config = load_config(log / "config.yaml", [*settings, *tables])
    source = open_source(config.dataset, log / "tfrecord")
    found = iter([0.6, 0.5, 0.7, 0.65])
    metrics = {"log_loss": 0.5, "ne": 1.0}
    monkeypatch.setattr(training, "evaluate", lambda *_: {"click": {**metrics, "auc": next(found)}})
    rates = []
    fit = Ranker.fit

    def recorded(self, *args, **kwargs):
        parts = (self.optimizer, self.optimizer.tables) if tables else (self.optimizer,)
        rates.append([float(part.learning_rate) for part in parts])
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(Ranker, "fit", recorded)
    directory = TrainingRun(tmp_path / "run")
    with directory.owned(config):
        trainer = training.Trainer(config, source, directory, say=lambda line: None)
        trainer.train()
    whole = [0.01, 0.002][: len(rates[0])]
    for found_rates, left in zip(rates, [1, 1, 0.1, 0.1], strict=True):
        assert found_rates == pytest.approx([left * rate for rate in whole])
    assert trainer.state.rate == pytest.approx(0.01)


@pytest.mark.parametrize(("monitor", "best", "epochs"), [("auc", 2, 4), ("log_loss", 0, 3)])
def test_the_epoch_kept_is_the_best_by_the_monitor(log, tmp_path, monkeypatch, monitor, best, epochs):
    """And each epoch sees every example once, in an order of its own."""
    settings = ("training.epochs=4", "training.patience=2", "training.batch_size=25", f"training.monitor={monitor}")
    config = load_config(log / "config.yaml", settings)
    source = open_source(config.dataset, log / "tfrecord")
    values = {"auc": [0.6, 0.5, 0.7, 0.7], "log_loss": [0.5, 0.5, 0.7], "ne": [1.0]}
    orders = []

    def evaluated(*_):
        return {"click": {name: found[min(len(orders), len(found)) - 1] for name, found in values.items()}}

    def fitted(self, data, **_):
        orders.append([age for encoded, _ in data for age in encoded["age"].numpy()])
        self.weights[0].assign(np.full(self.weights[0].shape, len(orders) - 1))
        return SimpleNamespace(history={"loss": [0.5]})

    monkeypatch.setattr(training, "evaluate", evaluated)
    monkeypatch.setattr(training.Trainer, "_input_rate", lambda _: 1.0)
    monkeypatch.setattr(TrainingRun, "save_state", lambda *_: None)
    monkeypatch.setattr(Ranker, "fit", fitted)
    directory = TrainingRun(tmp_path / "run")
    with directory.owned(config):
        trainer = training.Trainer(config, source, directory, say=lambda line: None)
        ranker = trainer.train()
    assert (trainer.state.best_epoch, len(orders)) == (best, epochs)
    np.testing.assert_array_equal(ranker.weights[0], best)
    assert all(len(order) == 100 and sorted(order) == sorted(orders[0]) for order in orders)
    assert len({tuple(order) for order in orders}) == epochs


def test_plateau_takes_no_warmup(log):
    with pytest.raises(ConfigError, match="plateau takes no warm-up"):
        load_config(log / "config.yaml", ["training.decay=plateau", "training.warmup_steps=5"])


def test_tables_may_learn_at_a_rate_of_their_own():
    path = Path(__file__).parents[2] / "pipelines" / "configs" / "kuairand.yaml"
    settings = ["training.warmup_steps=10", "training.decay=none", "training.optimizer=lazy_adam"]
    slow = load_config(path, [*settings, "training.table_learning_rate=1e-4", "training.clip_norm=1.0"]).training
    optimizer = build_optimizer(slow, steps=50)
    assert [float(part._learning_rate(10)) for part in (optimizer.tables, optimizer.network)] == pytest.approx(
        [1e-4, 1e-3]
    )
    assert type(optimizer.tables) is type(optimizer.network) is optimizers.LazyAdam
    assert optimizer.global_clipnorm == 1.0
    other = load_config(path, [*settings, "training.table_optimizer=row_wise_adagrad"]).training
    optimizer = build_optimizer(other, steps=50)
    assert isinstance(optimizer.tables, optimizers.RowWiseAdagrad)
    assert float(optimizer.tables._learning_rate(10)) == pytest.approx(1e-3)


@pytest.mark.usefixtures("jobs_run_here")
def test_ablation_compares_and_goes_on(run, log, tmp_path, capsys):
    """Of two runs one is there."""
    given = ["--config", str(log / "config.yaml"), "--data-dir", str(log / "tfrecord"), "--output", str(tmp_path)]
    given += ["--vary", "model.embedding.dim=2,4", "--seeds", "1", "--jobs", "2", "--set", "training.epochs=1"]
    (tmp_path / "4-seed0").mkdir()
    (tmp_path / "4-seed0" / "metrics.json").write_text((run / "metrics.json").read_text())
    assert ablate.main(given) == 0
    first = capsys.readouterr().out
    assert "| 2 | 0." in first and "| 4 | 0." in first
    result = json.loads((tmp_path / "ablation.json").read_text())
    assert [row["value"] for row in result["rows"]] == ["2", "4"]
    assert (tmp_path / "ablation.png").stat().st_size > 1000
    assert ablate.main(given) == 0
    assert "[1/" not in capsys.readouterr().out  # nothing is trained again


def test_ablation_finds_a_wrong_value_before_training(log, tmp_path, capsys):
    given = ["--config", str(log / "config.yaml"), "--data-dir", str(log / "tfrecord"), "--output", str(tmp_path / "o")]
    assert ablate.main([*given, "--vary", "training.epochs=1,many"]) == 2
    assert "training.epochs" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
    assert ablate.main([*given, "--vary", "training.epochs"]) == 2


def test_seeds_of_one_configuration(run, log, tmp_path, capsys):
    """Runs that are there are taken as they are: here two copies of one."""
    for seed in (0, 1):
        (tmp_path / f"config-seed{seed}").mkdir()
        (tmp_path / f"config-seed{seed}" / "metrics.json").write_text((run / "metrics.json").read_text())
    given = ["--config", str(log / "config.yaml"), "--output", str(tmp_path), "--seeds", "2"]
    assert ablate.main(given) == 0
    assert "| config | 0." in capsys.readouterr().out
    assert "± 0.0000" in (tmp_path / "ablation.md").read_text()


def test_an_ablation_shows_what_its_runs_have(run, log, tmp_path, capsys):
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["test"]["click"] |= {"request_gauc": 0.75, "mrr": 0.5, "ndcg_10": 0.625}
    (tmp_path / "config-seed0").mkdir()
    (tmp_path / "config-seed0" / "metrics.json").write_text(json.dumps(metrics))
    assert ablate.main(["--config", str(log / "config.yaml"), "--output", str(tmp_path), "--seeds", "1"]) == 0
    head, _, row, *_ = capsys.readouterr().out.splitlines()
    assert head.endswith("| test gauc | test request_gauc | test mrr | test ndcg_10 | test ne |")
    assert "| 0.7500 | 0.5000 | 0.6250 |" in row


def test_variants_from_a_file(log, tmp_path):
    file = tmp_path / "variants.yaml"
    file.write_text("plain:\nsmall: {model.embedding.dim: 2, model.tower_units: [4]}\n")
    key, variants = ablate.variants_of(["c.yaml"], None, str(file), ["training.epochs=1"])
    assert key == "variant"
    assert variants == [
        ablate.Variant("plain", "c.yaml", ("training.epochs=1",)),
        ablate.Variant("small", "c.yaml", ("training.epochs=1", "model.embedding.dim=2", "model.tower_units=[4]")),
    ]
    _, variants = ablate.variants_of(["x/a.yaml", "b.yaml"], None, None, [])
    assert [variant.name for variant in variants] == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--config", "a.yaml", "b.yaml", "--vary", "training.epochs=1"], "--vary"),
        (["--config", "a.yaml", "x/a.yaml"], "different names"),
        (["--config", "a.yaml", "--variants", "none.yaml"], "none.yaml"),
        (["--config", "a.yaml", "--variants", "list.yaml"], "list.yaml"),
    ],
)
def test_wrong_variants_are_named(options, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("list.yaml").write_text("[1, 2]")
    assert ablate.main([*options, "--output", "o"]) == 2
    assert named in capsys.readouterr().err
    assert not Path("o").exists()


ABLATIONS = sorted((Path(__file__).parents[2] / "pipelines" / "configs" / "ablations").glob("*.yaml"))
ABLATIONS = [path for path in ABLATIONS if path.stem != "history"]  # names trivago's columns: test_trivago.py


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_every_variant_of_the_ablations_makes_a_model(path):
    others = {"simulated": "synthetic", "default": "kuairand_raw", "request": "kuairand_raw"}
    name = others.get(path.stem, f"kuairand_{path.stem}")
    config = path.parents[1] / f"{name}.yaml"
    _, variants = ablate.variants_of([str(config)], None, str(path), ["training.jit_compile=false"])
    small = learned_schema()
    # The configurations name fields by their place among KuaiRand's.
    more = [Categorical(f"more_{i}", vocabulary=("a", "b")) for i in range(12)]
    parts = {"features": [*small.features, *more], "sequences": small.sequences, "labels": small.labels}
    schema = FeatureSchema(**parts, candidate=["item"])
    sizes = {v.name: build_ranker(load_config(*v[1:]), schema, 1000).count_params() for v in variants}
    assert len(sizes) == len(variants) > 1


def test_the_compiled_model_has_the_configured_parts():
    path = Path(__file__).parents[2] / "pipelines" / "configs" / "kuairand.yaml"
    ranker = build_ranker(load_config(path), learned_schema(), 1000)
    assert ranker.optimizer is not None
    assert isinstance(ranker, keras.Model)
    assert np.isfinite(
        tf.reduce_sum([tf.reduce_sum(tf.cast(tf.convert_to_tensor(w), tf.float32)) for w in ranker.weights])
    )
