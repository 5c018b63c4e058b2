"""Whatever is wrong with what a command is given, it says so in one message, and leaves a status of 2."""

import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipelines import ablate, compress, evaluate, prepare, train
from pipelines.compare import __main__ as compare
from pipelines.compare import boosting, job
from pipelines.own_log import __main__ as own_log
from serving import agreement, export, onnx, rank, score
from serving.page import __main__ as page
from tests.pipelines.small_folder import write_folders
from tf_interformer.command import run_command
from tf_interformer.schema import FeatureSchema

CONFIG = """
dataset: {name: small, format: parquet}
model: {backbone: fm, embedding: {dim: 4}, tower_units: [8]}
training: {batch_size: 16, epochs: 1, jit_compile: false}
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    base = write_folders(tmp_path_factory.mktemp("log"))
    (base / "config.yaml").write_text(CONFIG)
    (base / "compare.yaml").write_text("base: config.yaml\nmodels: {fm: {model.backbone: fm}}\n")
    return base


@pytest.fixture
def folder(log, tmp_path):
    """A copy of the Parquet folder, to break."""
    return shutil.copytree(log / "parquet", tmp_path / "data")


def told(capsys, main, *arguments):
    """The message of a command that fails."""
    assert main([str(argument) for argument in arguments]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("error: "), message
    return message


def trained(capsys, log, folder, *more):
    return told(capsys, train.main, "--config", log / "config.yaml", "--data-dir", folder,
                "--output", folder.parent / "run", *more)  # fmt: skip


def change(folder, split, column, make):
    file = folder / f"{split}.parquet"
    table = pq.read_table(file)
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, make(table[column])), file)


FOLDERS = {
    "no rows": (lambda f: pq.write_table(pq.read_table(f / "validation.parquet")[:0], f / "validation.parquet"),
                "the validation split holds no example: {data}/validation.parquet"),
    "no test rows": (lambda f: pq.write_table(pq.read_table(f / "test.parquet")[:0], f / "test.parquet"),
                     "the test split holds no example: {data}/test.parquet"),
    "one class": (lambda f: change(f, "validation", "click", lambda c: pa.array([0] * len(c))),
                  "auc of 'click' is undefined on the validation split: 'click' is 0 in all 50 examples"),
    "a third class": (lambda f: change(f, "validation", "click", lambda c: pa.array([2] * len(c))),
                      "{data}/validation.parquet, rows 1 to 50: label 'click' must be 0 or 1. Received: 2"),
    "a history as text": (lambda f: change(f, "train-1", "viewed_item", lambda c: pa.array(["a|b"] * len(c))),
                          "{data}/train-1.parquet, rows 1 to 50: column 'viewed_item' must hold lists of text"),
    "a digest": (lambda f: change(f, "train-0", "item", lambda c: pa.array([b"\xff\xfe"] * len(c))),
                 "{data}/train-0.parquet, rows 1 to 50: column 'item' must hold text (UTF-8)"),
    "a cut file": (lambda f: (f / "train-0.parquet").write_bytes((f / "train-0.parquet").read_bytes()[:-9]),
                   "{data}/train-0.parquet is not a whole Parquet file"),
    "bytes that are no page": (lambda f: damage(f / "train-0.parquet"), "{data}/train-0.parquet "),
    "a schema in UTF-16": (lambda f: (f / "schema.json").write_text("{}", encoding="utf-16"),
                           "the file {data}/schema.json is not UTF-8 text"),
    "a schema that is a folder": (lambda f: ((f / "schema.json").unlink(), (f / "schema.json").mkdir()),
                                  "{data} must hold schema.json"),
}  # fmt: skip


def damage(file):
    whole = file.read_bytes()
    file.write_bytes(whole[:4] + b"\xff" * 400 + whole[404:])


@pytest.mark.parametrize("case", FOLDERS)
def test_what_is_wrong_with_the_data(log, folder, capsys, case):
    break_it, message = FOLDERS[case]
    break_it(folder)
    assert message.format(data=folder) in trained(capsys, log, folder)
    assert not (folder.parent / "run" / "checkpoints").exists()


def test_one_class_to_learn(log, folder, capsys):
    for split in ("train-0", "train-1"):
        change(folder, split, "click", lambda column: pa.array([0] * len(column)))
    assert "the training split holds one class only: 'click' is 0 in all 100 examples" in trained(capsys, log, folder)


@pytest.mark.skipif(not boosting.is_installed(), reason="needs LightGBM")
@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("train", "the training split holds one class only: 'click' is 0 in all 100 examples"),
        ("validation", "auc of 'click' is undefined on the validation split: 'click' is 0 in all 50 examples"),
    ],
)
def test_one_class_is_told_of_trees_too(log, folder, capsys, split, message):
    for part in ("train-0", "train-1") if split == "train" else (split,):
        change(folder, part, "click", lambda column: pa.array([0] * len(column)))
    given = ("--config", log / "config.yaml", "--data-dir", folder, "--output", folder.parent / "run")
    assert message in told(capsys, job.main, *given, "--set", "model.backbone=lightgbm")


def test_one_class_is_no_error_where_the_metric_is_defined(log, folder, capsys):
    """But it is told. The run goes on until its rate is the fault."""
    change(folder, "validation", "click", lambda column: pa.array([1] * len(column)))
    more = ("--set", "training.monitor=log_loss", "--set", "training.learning_rate=1e30")
    more += ("--set", "training.optimizer=sgd")
    assert main_output(capsys, log, folder, more) == (
        "'click' is 1 in all 50 examples of the validation split: its AUC is undefined"
    )


def main_output(capsys, log, folder, more):
    arguments = ["--config", str(log / "config.yaml"), "--data-dir", str(folder)]
    assert train.main([*arguments, "--output", str(folder.parent / "run"), *more]) == 2
    said = capsys.readouterr()
    assert "training diverged: the loss of epoch 1 is nan. Lower training.learning_rate (1e+30)" in said.err
    return next(line for line in said.out.splitlines() if "undefined" in line)


def test_an_output_that_cannot_be_one(log, tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    data = ("--config", log / "config.yaml", "--data-dir", log / "parquet")
    assert f"{file}: Not a directory" in told(capsys, train.main, *data, "--output", file)
    assert f"{file / 'run'}: Not a directory" in told(capsys, train.main, *data, "--output", file / "run")
    ablation = (*data, "--vary", "training.epochs=1", "--seeds", 1)
    assert str(file) in told(capsys, ablate.main, *ablation, "--output", file)
    comparison = ("--config", log / "compare.yaml", "--data-dir", log / "parquet")
    assert str(file) in told(capsys, compare.main, *comparison, "--output", file)
    written = ("--dataset", "synthetic_clicks", "--format", "parquet")
    assert str(file) in told(capsys, prepare.main, *written, "--output", file)
    assert str(file) in told(capsys, own_log.main, "infer", tmp_path / "none.csv", "--output", file)


def finished_commands(run, tmp_path):
    """Every command that takes a finished run, and its arguments."""
    yield evaluate.main, (run,)
    yield compress.main, (run, "--output", tmp_path / "compressed")
    yield export.main, (run, "--output", tmp_path / "models")
    yield onnx.main, (run, "--output", tmp_path / "model.onnx")
    yield agreement.main, (run,)
    yield page.main, (run,)
    yield rank.main, (run,)
    yield score.main, (run / "saved_model" / "1", run / "example_request.json")


BROKEN = {
    "nothing": lambda run: None,
    "empty files": lambda run: [(run / name).touch() for name in FILES],
    "text in UTF-16": lambda run: [(run / name).write_text("{}", encoding="utf-16") for name in FILES],
    "noise": lambda run: [(run / name).write_bytes(os.urandom(500)) for name in FILES],
    "folders": lambda run: [(run / name).mkdir() for name in FILES],
}
FILES = ("metrics.json", "model.keras", "config.yaml", "schema.json", "example_request.json", "example_ranking.json")


@pytest.mark.parametrize("case", BROKEN)
def test_every_command_says_what_is_wrong_with_a_run(tmp_path, capsys, case):
    run = tmp_path / "run"
    (run / "saved_model" / "1").mkdir(parents=True)
    (run / "saved_model" / "1" / "saved_model.pb").write_bytes(b"noise")
    BROKEN[case](run)
    for main, arguments in finished_commands(run, tmp_path):
        assert str(run) in told(capsys, main, *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_configuration_that_cannot_be_read(log, tmp_path, capsys):
    wide = tmp_path / "wide.yaml"
    wide.write_text(CONFIG, encoding="utf-16")
    output = ("--output", tmp_path / "run", "--data-dir", log / "parquet")
    for main in (train.main, ablate.main, compare.main):
        for file, what in ((wide, "UTF-8"), (tmp_path, "directory"), (tmp_path / "none.yaml", "No such file")):
            message = told(capsys, main, "--config", file, *output)
            assert str(file) in message and what.lower() in message.lower()


def test_what_the_machine_refuses_is_one_message(capsys):
    refused = {
        OSError(28, "No space left on device", "run/state.json"): "error: run/state.json: No space left on device\n",
        OSError("h5py says: no space"): "error: h5py says: no space\n",
        PermissionError(13, "Permission denied", b"log"): "error: log: Permission denied\n",
        MemoryError(): "error: out of memory: ",
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"): "error: a file or an argument is not UTF-8",
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"): "ResourceExhaustedError: OOM when",
        tf.errors.UnknownError(None, None, "disk gone\n\t [[{{node x}}]]"): "error: UnknownError: disk gone\n",
    }
    for error, message in refused.items():

        def fail(error=error):
            raise error

        assert run_command(fail) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):  # a mistake of ours keeps its traceback
        run_command(lambda: 1 // 0)


def test_the_schema_in_utf_16(tmp_path):
    file = tmp_path / "schema.json"
    file.write_text("{}", encoding="utf-16")
    with pytest.raises(ValueError, match=r"schema.json is not UTF-8 text: save it as UTF-8"):
        FeatureSchema.from_json(file)
