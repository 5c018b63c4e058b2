"""The wheel holds what the repository does, and trains where nothing but it is installed."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import tf_interformer

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipelines", "serving", "tf_interformer")
# One pass of a small model over a small log
SMALL = (
    *("dataset.builder_config=tiny", "model.backbone=fm", "model.embedding.dim=4", "model.tower_units=[4]"),
    *("training.epochs=1", "training.jit_compile=false"),
)


def tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: git says which files belong to the packages")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: setuptools writes beside its sources."""
    base = tmp_path_factory.mktemp("wheel")
    for name in tracked():
        (base / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, base / "source" / name)
    options = ("--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
    command = [sys.executable, "-m", "pip", "wheel", ".", *options, "--wheel-dir", str(base)]
    subprocess.run(command, cwd=base / "source", check=True)
    return next(base.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of the programs of an environment in which the wheel, and of this one what it needs, is installed."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ("--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")
    subprocess.run([sys.executable, "-m", "pip", f"--python={python}", "install", *options, str(wheel)], check=True)
    return folder / "bin"


def run(program, *arguments, folder):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [program, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_wheel_holds_what_git_does(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == {name for name in tracked() if name.startswith(tuple(f"{package}/" for package in PACKAGES))}


def test_there_is_one_version(wheel, installed, tmp_path):
    assert wheel.name.startswith(f"tf_interformer-{tf_interformer.__version__}-")
    told = run(installed / "tf-interformer", "--version", folder=tmp_path)
    assert told.stdout == f"tf-interformer {tf_interformer.__version__}\n", told.stderr


def test_trains_from_any_folder(installed, tmp_path):
    settings = [part for setting in SMALL for part in ("--set", setting)]
    data = ("--prepared-dir", tmp_path / "data")
    done = run(installed / "tf-interformer", "train", "--config", "synthetic", "--output", "run", *data, *settings,
               folder=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["epochs"] == 1
    assert (tmp_path / "run" / "saved_model" / "1" / "saved_model.pb").is_file()
    where = run(installed / "python", "-c", "import pipelines; print(pipelines.__file__)", folder=tmp_path)
    assert Path(where.stdout.strip()).is_relative_to(installed.parent)
