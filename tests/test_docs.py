"""The code blocks of README.md and docs/, Python and shell, run as they stand, from top to bottom."""

import re
import runpy
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.pipelines.conftest import run_jobs_here
from tf_interformer import Ranker
from tf_interformer._keras import LEGACY
from tf_interformer.command.main import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^((?:python -m|tf-interformer) (?:.*\\\n)*.*)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_run(page, tmp_path, monkeypatch):
    if page.name == "tfrs.md" and not LEGACY:
        pytest.skip("TensorFlow Recommenders needs TF_USE_LEGACY_KERAS=1")
    blocks = _BLOCK.findall(page.read_text())
    monkeypatch.chdir(tmp_path)
    compile_network = Ranker.compile_network  # without XLA where it is not asked for: a page is read in seconds
    monkeypatch.setattr(Ranker, "compile_network", lambda self, choice="auto": compile_network(self, choice is True))
    namespace: dict = {"__name__": "__docs__"}
    for language, block in blocks:
        if language == "sh":
            run_shell(block, tmp_path)
        else:
            exec(compile(block, page.name, "exec"), namespace)


def run_shell(block: str, folder: Path) -> None:
    """Run a shell block in a folder that looks like the root of the repository, our commands within the test."""
    for package in ("pipelines", "serving", "tf_interformer"):
        if not (folder / package).exists():
            (folder / package).symlink_to(ROOT / package)
    for part in _COMMAND.split(block):
        if _COMMAND.match(part):
            run_command(shlex.split(part.replace("\\\n", " ")))
        elif part.strip():
            command = ["bash", "-euo", "pipefail", "-c", part]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, f"{part}\n{done.stdout}\n{done.stderr}"


def run_command(words: list[str]) -> None:
    """One of the package's commands in this process: one of its own spends its time on importing TensorFlow."""
    with pytest.MonkeyPatch.context() as patched, warnings.catch_warnings():
        run_jobs_here(patched)
        if words[0] == "tf-interformer":
            assert main(words[1:]) == 0, words
            return
        warnings.filterwarnings("ignore", ".* found in sys.modules", RuntimeWarning)
        patched.setattr(sys, "argv", words[2:])
        with pytest.raises(SystemExit) as end:
            runpy.run_module(words[2], run_name="__main__", alter_sys=True)
        assert end.value.code == 0, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_exist(page):
    text = page.read_text()
    links = [link for link in _LINK.findall(text) if not link.startswith("http")]
    paths = re.findall(r"`((?:tf_interformer|pipelines|serving|tests|docs)/[\w./-]+)`", text)
    for target in links:
        assert (page.parent / target).exists(), target
    for target in paths:
        assert (ROOT / target).exists(), target
