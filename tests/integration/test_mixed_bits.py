"""Searches for the bits of every module of one student: within a budget to the byte, answered again without a run."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient
from small_task import called
from written_page import Page

from pipeline.stages.finished_search import FILE
from pipeline.stages.search.job import dry_run, resolve, run
from pipeline.stages.sweep.job import run as run_sweep

KIND = ("search.kind=mixed_bits", "search.steps=[2]", "student.warmup_fraction=0.0")
MIXED = "search.mixed={depth: 2-1, bits: [2, 8], max_mib: 0.03}"


def last(out):
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def searched(small, tmp_path_factory):
    """(storage folder, document) of a search for bits within 0.03 MiB."""
    storage = tmp_path_factory.mktemp("mixed")
    words = [word for word in small if "latency_examples" not in word]
    code, out, err = called("ose_search", run, *words, *KIND, MIXED, "search.name=bits", f"storage.path={storage}")
    assert code == 0, err
    return storage, last(out)


@pytest.fixture
def ask(job, searched):
    """`ask(*words)`: (exit code, document, stderr) of the same search with other words."""
    storage, _ = searched

    def call(*words, how=resolve, name="ose_search"):
        own = (*KIND, MIXED, "search.name=bits") if name == "ose_search" else ("student.warmup_fraction=0.0",)
        code, out, err = job(name, how, *own, f"storage.path={storage}", *words)
        return code, last(out), err

    return call


def stored(storage):
    """Everything that a search leaves, and when it was written; and the runs that there are."""
    client = MlflowClient(tracking_uri=f"sqlite:///{storage / 'mlflow.db'}")
    runs = client.search_runs([one.experiment_id for one in client.search_experiments()])
    files = {path: path.stat().st_mtime_ns for path in (storage / "searches").rglob("*") if path.is_file()}
    return files, {run.info.run_id: run.info.end_time for run in runs}


def test_bits_are_spent_module_by_module(searched):
    """Within the budget to the byte, expected to lose no more than the best of uniform bits."""
    _, found = searched
    best, uniform = found["best"], found["uniform"]
    assert best["bytes"] <= 0.03 * 2**20 and best["error"] <= uniform["error"] and found["bound"]["gap"] == 0
    sizes = [one["bytes"] for one in found["front"]]
    assert sizes == sorted(sizes) and len(sizes) > 2
    report = Path(found["report"])
    written = {"report.html", "loss_vs_size.png", "results.md", "sensitivities.csv", "config.yaml"}
    assert {path.name for path in report.iterdir()} == written
    said = " ".join(Page((report / "report.html").read_text()).texts)
    assert f"{best['bytes']:,} bytes of at most" in said
    lines = (report / "sensitivities.csv").read_text().splitlines()[1:]
    assert len(lines) == found["candidates"] and all(line.split()[0].split(",")[0] in said for line in lines)


def test_the_sweep_packs_what_was_chosen(searched, ask):
    """To the bytes that the search has named."""
    code, document, err = ask("sweep.search=bits", how=run_sweep, name="dq_sweep")
    assert code == 0, err
    student, best = document["students"][0], searched[1]["best"]  # others of its recipe that lie there follow
    assert (student["name"], student["metrics"]["size_bytes"]) == (best["name"], best["bytes"])


def test_another_budget_is_answered_without_a_run(searched, ask):
    """What the search of that name has left stays as it is, and is what a sweep finds; nobody is told in MLflow."""
    storage, document = searched
    before = stored(storage)
    assert any(path.name == FILE for path in before[0]) and len(before[1]) > 1
    code, same, err = ask()
    assert code == 0 and not {"run_id", "report"} & set(same), err
    assert same == {name: value for name, value in document.items() if name not in ("run_id", "report")}
    code, other, err = ask("search.mixed.max_mib=0.028")
    assert code == 0 and other["best"]["bytes"] <= 0.028 * 2**20 and other["best"] != document["best"], err
    assert stored(storage) == before


def test_a_budget_is_met_at_its_edge(ask):
    """To the byte: that of the fewest bits, and that of uniform ones; one byte less than the fewest is refused."""
    code, found, err = ask("search.mixed.max_mib=1.0")
    assert code == 0, err
    fewest = found["front"][0]["bytes"]
    for size in [fewest, fewest + 1, *(one["bytes"] for one in found["front"])]:
        code, other, err = ask(f"search.mixed.max_mib={size / 2**20!r}")
        assert code == 0 and other["best"]["bytes"] <= size, err
        assert other["uniform"] is None or other["best"]["error"] <= other["uniform"]["error"]
    code, other, _ = ask(f"search.mixed.max_mib={(fewest - 1) / 2**20!r}")
    assert code == 2 and f"{fewest} bytes or more" in other["error"] and "search.mixed.max_mib" in other["error"]


def test_nothing_is_answered_of_a_student_that_nobody_has_looked_at(ask):
    """With the way to look at it."""
    code, document, _ = ask("search.mixed.depth=1-1")
    assert code == 2 and "that nobody has measured" in document["error"]
    assert "without --resolve" in document["error"]


@pytest.mark.parametrize("how", [run, dry_run])
def test_steps_beyond_the_training_are_refused(ask, how):
    """Before anything is trained, also where only the data say how long the training is."""
    code, document, err = ask("search.steps=[999]", "student.max_steps=null", how=how)
    assert code == 2 and "search.steps=[999] in a training of" in document["error"], err
