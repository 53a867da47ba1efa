"""`make clean` and `make clean-cache` remove what can be made again, and nothing else."""

import json
import os
import subprocess
import time

import pytest
from repository import ROOT


@pytest.fixture
def storage(tmp_path):
    """A storage folder with a cache, results, and the lease of a job that has ended; a blank in its name."""
    folder = tmp_path / "my runs"
    for name in ("cache/tokens/x", "teachers/t/model.safetensors", "sweeps/s/report.html", "mlflow.db"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (folder / "sweeps" / "s" / "lease").mkdir()
    (folder / "sweeps" / "s" / "lease" / "1.json").write_text(json.dumps({"released": True}, indent=2))
    return folder


def make(target, storage):
    return subprocess.run(["make", target, f"DQ_STORAGE={storage}"], cwd=ROOT, capture_output=True, text=True)


def test_cleaning_leaves_storage_wherever_it_lies(tmp_path):
    """Also what looks like a tool's leftover in it: logged models hold code."""
    kept = [f"{folder}/mlruns/__pycache__/x.pyc" for folder in ("runs", "my runs", ".venv", ".venv-infra")]
    gone = [".pytest_cache/x", "pipeline/__pycache__/x.pyc"]
    for name in (*kept, *gone):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x")
    command = ["make", "-f", str(ROOT / "Makefile"), "clean", f"DQ_STORAGE={tmp_path / 'my runs'}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert files(tmp_path) == set(kept)
    assert "my runs is untouched" in done.stdout


def files(storage):
    return {str(path.relative_to(storage)) for path in storage.rglob("*") if path.is_file()}


def test_cleaning_the_cache_leaves_results(storage):
    """Also twice, and also where there is none."""
    before = files(storage)
    assert make("clean-cache", storage).returncode == 0
    assert files(storage) == before - {"cache/tokens/x"}
    assert make("clean-cache", storage).returncode == 0
    assert make("clean-cache", storage / "nowhere").returncode == 0


@pytest.mark.parametrize(("age_seconds", "code"), [(20, 2), (100, 0)])
def test_the_cache_of_a_running_job_is_left_alone(storage, age_seconds, code):
    """Its lease is fresh; one that was not renewed for a minute has ended."""
    lease = storage / "teachers" / "t" / "lease" / "1.json"
    lease.parent.mkdir()
    lease.write_text(json.dumps({"released": False}, indent=2))
    os.utime(lease, times=(time.time() - age_seconds,) * 2)
    done = make("clean-cache", storage)
    assert (done.returncode, (storage / "cache").is_dir()) == (code, code != 0)
    assert ("a job runs in" in done.stdout) == (code != 0)
