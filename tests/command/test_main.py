"""`tf-interformer`: one command for all programs."""

import json
import re
import runpy
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from tf_interformer import __version__
from tf_interformer.command import main as command
from tf_interformer.command import run_command
from tf_interformer.command.main import main
from tf_interformer.command.programs import PROGRAMS, Program

ROOT = Path(__file__).parents[2]


def test_help_and_version_need_no_tensorflow():
    program = (
        "import sys; from tf_interformer.command.main import main\n"
        "assert main(['--version']) == main(['--help']) == main([]) == 0\n"
        "assert not {'tensorflow', 'keras', 'pipelines', 'serving'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    version, *help_text = done.stdout.splitlines()
    assert version == f"tf-interformer {__version__}"
    for name, listed in PROGRAMS.items():
        assert f"  {name:13}  {listed.summary}" in help_text


def test_every_program_of_the_packages_has_a_name():
    files = [file for package in ("pipelines", "serving") for file in (ROOT / package).rglob("*.py")]
    programs = {file for file in files if "\ndef main(arguments" in file.read_text()}
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts) for file in programs}
    assert modules - {"pipelines.compare.job"} == {program.module for program in PROGRAMS.values()}


@pytest.fixture(scope="module")
def helps():
    """What each program says of itself where TensorFlow cannot be imported."""
    command = [sys.executable, "-m", "tests.backends.without_tensorflow", "tests.command.helps"]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_help_of_a_program_shows_an_example(helps, name):
    assert helps[name].startswith(f"usage: tf-interformer {name} ")
    assert re.search(rf"^ *tf-interformer {name} \S", helps[name].split("\n\n", 1)[1], re.MULTILINE)


def test_a_log_of_your_own_needs_no_tensorflow(tmp_path):
    (tmp_path / "log.csv").write_text("item_id,click\n" + "".join(f"{n % 5},{n % 2}\n" for n in range(40)))
    command = [sys.executable, "-m", "tests.backends.without_tensorflow", "pipelines.own_log"]
    schema, log, folder = (str(tmp_path / name) for name in ("schema.json", "log.csv", "data"))
    infer = ["infer", log, "--output", schema]
    split = ["split", log, "--schema", schema, "--output", folder, "--random"]
    for arguments in (infer, split):
        done = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_an_option_takes_the_same_in_every_program(helps):
    taken = defaultdict(set)
    for text in helps.values():
        for option, what in re.findall(r"^  (--[\w-]+) ?([A-Z][\w=]*)?", text, re.MULTILINE):
            taken[option].add(what)
    assert {"--config", "--data-dir", "--jobs", "--set"} <= set(taken)
    # Where a folder is written, a model's folder of versions, or a file
    assert {option: what for option, what in taken.items() if len(what) > 1} == {"--output": {"DIR", "BASE", "FILE"}}


def test_a_log_of_your_own_goes_by_its_old_name_too(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pipelines/schema.py", "infer", "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("pipelines.schema", run_name="__main__")
    assert capsys.readouterr().out.startswith("usage: tf-interformer schema infer ")


def test_a_wrong_name_is_told_with_the_right_one(capsys):
    assert main(["trian", "--config", "x"]) == 2
    assert capsys.readouterr().err == "error: tf-interformer has no program 'trian'. Did you mean 'train'?\n"
    assert main(["frobnicate"]) == 2
    assert "has no program 'frobnicate'. tf-interformer --help shows what there is." in capsys.readouterr().err


@pytest.mark.parametrize("when", ["imported", "running"])
def test_what_is_not_installed_is_told_with_the_extra(capsys, monkeypatch, when):
    def missing(*_):
        import no_such_package  # noqa: F401

    running = SimpleNamespace(main=lambda _: run_command(missing, tensorflow=False))
    monkeypatch.setitem(PROGRAMS, "draw", Program("serving.drawing", "report", "draws"))
    monkeypatch.setattr(command, "import_module", missing if when == "imported" else lambda _: running)
    assert main(["draw"]) == 2
    assert capsys.readouterr().err == (
        "error: tf-interformer draw needs no_such_package: pip install 'tf_interformer[report]'\n"
    )
