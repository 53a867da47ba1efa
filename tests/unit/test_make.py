"""`make` sets up with a Python that fits, and says in one sentence if there is none; what it offers is explained."""

import os
import re
import shutil
import subprocess
import tomllib

import pytest
from repository import ROOT

# As if no make had started the tests.
OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "PYTHON", "PROCESSES")
OUTSIDE = {name: value for name, value in os.environ.items() if name not in OF_MAKE}

# Stands for a Python: says whether its version fits, and makes an environment whose tools tell what they were told.
TOOL = """#!/bin/sh
echo "$@" >> told
"""
PYTHON = """#!/bin/sh
case "$1" in
-c) exit {unfit} ;;
-m) echo "{name}" > made_by; mkdir -p .venv/bin; cp tool .venv/bin/pip; cp tool .venv/bin/python ;;
esac
"""


@pytest.fixture
def make(tmp_path):
    """`make(target, name=fits or not, ...)`: make in an empty project with these Pythons and no other."""
    (tmp_path / "infra").mkdir()
    (tmp_path / "tool").write_text(TOOL)
    (tmp_path / "tool").chmod(0o755)
    for name in ("pyproject.toml", "infra/constraints.txt"):
        (tmp_path / name).touch()

    def run(target, **pythons):
        for name, fits in pythons.items():
            (tmp_path / name).write_text(PYTHON.format(unfit=int(not fits), name=name))
            (tmp_path / name).chmod(0o755)
        words = ["make", "-f", str(ROOT / "Makefile"), target]
        words.append("PYTHON=" + " ".join(str(tmp_path / name) for name in pythons))
        return subprocess.run(words, cwd=tmp_path, env=OUTSIDE, capture_output=True, text=True)

    return run


def test_a_python_that_does_not_fit_is_refused_in_one_sentence(make, tmp_path):
    """Before pip says it in a page of its own."""
    done = make("fast", newer=False)
    assert done.returncode == 2
    first, sentence, *more = done.stdout.splitlines()
    assert "setting up" in first and "Python 3.11, 3.12 or 3.13 is needed" in sentence and more == []
    assert not (tmp_path / ".venv").exists()


def test_the_first_python_that_fits_is_taken(make, tmp_path):
    """Where a newer one is `python3`, or one is a stub that runs nothing."""
    assert make(".venv/installed", newer=False, good=True, another=True).returncode == 0
    assert (tmp_path / "made_by").read_text() == "good\n"
    assert "-c infra/constraints.txt -e .[dev]" in (tmp_path / "told").read_text()


@pytest.mark.parametrize(
    ("target", "arguments"),
    [("fast", " -m not slow tests/unit"), ("test", " -m not slow"), ("test-all", " --numprocesses=2")],
)
def test_the_tiers_are_what_they_are_said_to_be(make, tmp_path, target, arguments):
    """Unit tests; all but the slow ones; all."""
    assert make(target, good=True).returncode == 0
    _, words = (tmp_path / "told").read_text().splitlines()
    assert words.endswith(arguments) and "--numprocesses=2" in words


@pytest.mark.parametrize("address", ["https://u:kan4ri@h/x", "https://h/x?token=kan4ri", "mysql://u:kan4ri@h/x"])
def test_the_ui_shows_no_login(make, tmp_path, monkeypatch, address):
    """Where the runs are is told without it; of a database it goes to the server by the environment."""
    assert make(".venv/installed", good=True).returncode == 0
    shutil.copy(tmp_path / "tool", tmp_path / ".venv" / "bin" / "mlflow")
    monkeypatch.setitem(OUTSIDE, "MLFLOW_TRACKING_URI", address)
    done = make("ui", good=True)
    told = (tmp_path / "told").read_text()
    assert done.returncode == 0 and "kan4ri" not in done.stdout + done.stderr + told
    assert "server --host 127.0.0.1" in told if address.startswith("mysql") else "at https://h/x\n" in done.stdout


def test_makefile_and_package_allow_the_same_pythons():
    """One says it to people, the other to pip."""
    bounds = re.search(r"\(3, (\d+)\) <= sys.version_info\[:2\] <= \(3, (\d+)\)", (ROOT / "Makefile").read_text())
    least, most = map(int, bounds.groups())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">=3.{least},<3.{most + 1}"


def test_what_looks_at_a_commit_is_the_ruff_of_ci():
    """Else one of them would undo what the other wants."""
    pinned = re.search(r'"ruff==([\d.]+)"', (ROOT / "pyproject.toml").read_text()).group(1)
    assert f"ruff-pre-commit\n    rev: v{pinned}\n" in (ROOT / ".pre-commit-config.yaml").read_text()


def test_every_target_is_explained():
    """`make` alone lists them."""
    done = subprocess.run(["make"], cwd=ROOT, env=OUTSIDE, capture_output=True, text=True, check=True)
    targets = re.search(r"\.PHONY: (.*)", (ROOT / "Makefile").read_text()).group(1).split()
    assert {line.split()[1] for line in done.stdout.splitlines()} == set(targets)
