"""One version, shown by whatever runs and written into whatever is kept."""

import json
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
from repository import ROOT

from pipeline import WRITTEN_BY, __version__
from pipeline.config.job import job_of
from pipeline.data.docstrings import PACKAGES
from pipeline.runtime.manifest import MANIFEST, read_manifest
from pipeline.stages.command import main
from pipeline.tracking.lineage import lineage

JOBS = sorted((ROOT / "jobs").glob("*.py"))


def test_the_version_stands_in_one_place():
    """The project's file reads it there; the changelog's newest entry is about it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"] and project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "pipeline.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == __version__


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_every_job_shows_it(job, monkeypatch, capsys):
    """Whatever else is asked for; nothing is run and nothing is wrong."""
    monkeypatch.setattr(sys, "argv", [str(job), "no.such=1", "--version"])
    assert main(job_of(job.stem), "a job", lambda config: pytest.fail("it runs")) == 0
    assert capsys.readouterr() == (f"{WRITTEN_BY}\n", "")


def test_a_copy_that_is_not_installed_knows_it(tmp_path):
    """As an MLflow model carries one: without metadata of a distribution, without site-packages."""
    shutil.copy(ROOT / "pipeline" / "__init__.py", tmp_path)
    (tmp_path / "__init__.py").rename(tmp_path / "pipeline.py")
    program = [sys.executable, "-S", "-c", "import pipeline; print(pipeline.WRITTEN_BY)"]
    assert subprocess.check_output(program, cwd=tmp_path, text=True).strip() == WRITTEN_BY


def test_the_runtime_shows_it():
    """Without a model."""
    said = subprocess.check_output([sys.executable, "-m", "pipeline.runtime", "--version"], cwd=ROOT, text=True)
    assert said.strip() == WRITTEN_BY


def test_runs_and_manifests_say_it(make_exported):
    """A manifest without it is not whole: whoever wrote one is named where it cannot be read."""
    assert lineage()["dq.version"] == __version__
    folder = make_exported()
    assert json.loads((folder / MANIFEST).read_text())["written_by"] == WRITTEN_BY
    read_manifest(folder)


def test_the_notice_names_what_the_corpus_reads():
    """The embedded checkpoint was learned from it; the licence comes along."""
    notice = (ROOT / "NOTICE").read_text()
    assert [
        name for name in (*PACKAGES, "Python standard library") if not re.search(rf"^ +{name} ", notice, re.M)
    ] == []
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE", "NOTICE"])
