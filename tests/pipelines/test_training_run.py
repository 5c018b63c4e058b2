"""Whose a run's folder is, what it was begun with, and what becomes of damaged files."""

import json

import pytest

from pipelines.config import ConfigError, DatasetConfig, TrainConfig, TrainingConfig
from pipelines.fingerprint import fingerprint
from pipelines.input import open_source
from pipelines.training_run import RunState, TrainingRun
from tests.pipelines.small_folder import write_folders
from tests.small_log import learned_schema
from tf_interformer.errors import UserError
from tf_interformer.ranker import Ranker


def config(epochs=1):
    return TrainConfig(dataset=DatasetConfig(name="small"), training=TrainingConfig(epochs=epochs))


@pytest.fixture
def run(tmp_path):
    return TrainingRun(tmp_path / "run")


def test_a_second_process_is_refused_at_once(run):
    with run.owned(config()):
        with (
            pytest.raises(ConfigError, match=r"another process trains in .*run: wait for it, or give"),
            run.owned(config()),
        ):
            raise AssertionError("it was let in")
        assert run.config.read_text() == config().to_yaml()
    with run.owned(config()):  # it is free again
        pass


def test_a_folder_in_which_nothing_was_trained_is_taken_over(run):
    with run.owned(config(epochs=1)):
        run.check_data({"schema": "one", "files": {}})
        run.schema.write_text("{}")
    with run.owned(config(epochs=2)):
        assert run.config.read_text() == config(epochs=2).to_yaml()
        run.check_data({"schema": "another", "files": {}})
    run.best.parent.mkdir()
    other = r"holds a run of another configuration \(.*\): training.epochs is 1 here, 2 there\. Give another --output"
    with pytest.raises(ConfigError, match=other), run.owned(config(epochs=1)):
        raise AssertionError("it was let in")
    with (
        run.owned(config(epochs=2)),
        pytest.raises(ConfigError, match=r"was begun on other data.*the schema is another"),
    ):
        run.check_data({"schema": "one", "files": {}})


def test_a_run_that_an_earlier_version_began_goes_on(run):
    with run.owned(config(epochs=2)):
        run.best.parent.mkdir()
    lines = run.config.read_text().splitlines(keepends=True)
    run.config.write_text("".join(line for line in lines if "bias_correction" not in line))  # a key that is new
    with run.owned(config(epochs=2)):
        assert run.config.read_text() == config(epochs=2).to_yaml()
    run.config.write_text("training: 3")
    with pytest.raises(ConfigError, match=r"holds a run of another configuration .*config\.yaml"):
        run.check(config(epochs=2))


def test_what_a_killed_process_left_is_removed(run):
    with run.owned(config()):
        run.best.parent.mkdir()
        left = [folder / f".x.{32 * 'a'}.tmp.keras" for folder in (run.path, run.best.parent)]
        for file in left:
            file.write_text("half")
    with run.owned(config()):
        assert not any(file.exists() for file in left)


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
def test_a_run_is_not_resumed_on_other_data(tmp_path, run, file_format):
    folder = write_folders(tmp_path / "log") / file_format

    def found():
        return fingerprint(open_source(DatasetConfig(name="small", format=file_format), folder))

    with run.owned(config()):
        run.check_data(found())
        run.best.parent.mkdir()
        run.check_data(found())
        one, other = folder / f"train-0.{file_format}", folder / f"train-1.{file_format}"
        kept = one.read_bytes()
        one.write_bytes(other.read_bytes())
        with pytest.raises(ConfigError, match=f"other data .*data.json.: train: train-0.{file_format} has other "):
            run.check_data(found())
        one.write_bytes(kept)
        other.rename(folder / f"train-2.{file_format}")
        with pytest.raises(ConfigError, match=rf"train-1.{file_format} is gone; train: train-2.{file_format} is new"):
            run.check_data(found())
        assert json.loads(run.data.read_text())["files"]["train"][0]["bytes"] == len(kept)


@pytest.fixture(scope="module")
def ranker():
    made = Ranker(learned_schema(), "fm", embedding={"dim": 4})
    made.compile()
    return made


def test_a_damaged_state_names_the_file_and_what_to_do(run, ranker):
    run.save_state(ranker, RunState(epoch=1))
    model, state = run.latest / "model.keras", run.latest / "state.json"
    assert run.load_state()[1].epoch == 1
    anew = f"remove {run.best.parent}, and the same command trains from the start"
    whole = model.read_bytes()

    def told():
        with pytest.raises(UserError) as raised:
            run.load_state()
        message = str(raised.value)
        assert message.endswith(anew)
        return message

    model.write_bytes(whole[: len(whole) // 2])
    assert told().startswith(f"cannot load {model}: it is cut off")
    model.write_bytes(whole[:300] + bytes(300) + whole[600:])
    assert told().startswith(f"cannot load {model}: it is damaged")
    model.unlink()
    assert told().startswith(f"{model} does not exist")
    for text, what in (("", "is damaged"), ("[]", "is damaged"), ('{"speed": 1}', "is of another version")):
        state.write_text(text)
        assert told().startswith(f"{state} {what}")
    state.unlink()
    assert told().startswith(f"cannot read {state}: No such file")


def test_a_folder_that_is_no_finished_run(run, ranker):
    with pytest.raises(UserError, match=r"holds no finished run: .*metrics.json does not exist"):
        run.finished()
    with pytest.raises(UserError, match=r"holds no finished run: .*model.keras does not exist"):
        run.load_model()
    run.path.mkdir()
    run.metrics.write_text("{")
    with pytest.raises(UserError, match=r"metrics.json is damaged: "):
        run.finished()
    run.model.write_text("half")
    with pytest.raises(UserError, match=r"cannot load .*model.keras: it is cut off"):
        run.load_model()
