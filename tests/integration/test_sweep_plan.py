"""The plan of a sweep: printed first, nothing trained under --dry-run, cohorts by memory, students given up early."""

import json
import shutil

import pytest
from mlflow import MlflowClient
from repository import ROOT

from pipeline.stages.sweep.job import dry_run, run
from pipeline.stages.sweep.student import pack

SIZES = {"train": 120, "validation": 12, "test": 15}
GRID = ("sweep.schemes=[8-8-8,2-2-8]", "sweep.depths=[2-1,1-1]")


def planned(job, *words):
    code, out, err = job("dq_sweep", dry_run, *words)
    assert code == 0, err
    return json.loads(out.splitlines()[-1]), err


def killed(*_, **__):
    raise RuntimeError("killed")


def names(document):
    return [cohort["students"] for cohort in document["cohorts"]]


def test_a_dry_run_prints_the_plan_and_trains_nothing(job, tmp_path):
    """No run, no teacher; the same plan is printed by the job itself, which later finds its work done."""
    words = (*GRID, "sweep.seeds=2", f"storage.path={tmp_path}")
    document, err = planned(job, *words)
    four = ["8-8-8 2-1", "8-8-8 1-1", "2-2-8 2-1", "2-2-8 1-1"]
    assert names(document) == [[f"{name} seed={seed}" for name in four] for seed in (28, 29)]
    assert (document["status"], document["num_steps"], document["already_done"]) == ("planned", 4, [])
    assert "8 students, 8 to train in 2 cohorts" in err and "to be trained" in err
    assert "example 2 of train" in err and "0 of 120 (0 %)" in err
    assert {name: split["num_examples"] for name, split in document["data"]["splits"].items()} == SIZES
    size = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert document["cache_bytes"] == size and f"{tmp_path / 'cache'} holds {size / 2**20:.1f} MiB" in err
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert not client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert not (tmp_path / "teachers").exists() and not (tmp_path / "sweeps").exists()
    small = (*GRID, f"storage.path={tmp_path}")
    assert job("dq_sweep", run, *small)[0] == 0
    document, err = planned(job, *small, "sweep.schemes=[8-8-8,2-2-8,4-4-8]")
    assert (document["already_done"], names(document)) == (four, [["4-4-8 2-1", "4-4-8 1-1"]])
    assert "finished" in err


def test_dry_runs_leave_token_ids_alone(job, tmp_path):
    """No copy of the data, of a local model, or of an earlier plan's."""
    cache, model = tmp_path / "runs" / "cache", tmp_path / "model"
    shutil.copytree(ROOT / "pipeline" / "models" / "seed", model)
    words = (*GRID, f"storage.path={tmp_path / 'runs'}", f"model.pretrained={model}")
    assert planned(job, *words)[0]["cache_bytes"] < sum(path.stat().st_size for path in model.iterdir())
    assert {path.name for path in cache.iterdir()} == {"tokens", "tokenizers", "tracking"}
    assert all(len(list(cache.rglob(f"{split}/*.arrow"))) == 1 for split in SIZES)
    first = sorted(cache.glob("to*/**/*"))
    planned(job, *words)
    assert sorted(cache.glob("to*/**/*")) == first


def test_cohorts_hold_what_a_worker_has_memory_for(job, tmp_path):
    """Students in their order; by size limit, too; one that fits nowhere is refused with both numbers."""
    words = (*GRID, f"storage.path={tmp_path}", "student.micro_batch_tokens=64", "teacher.micro_batch_tokens=16")
    whole, _ = planned(job, *words)
    document, _ = planned(job, *words, "sweep.cohort_size=3")
    assert [len(students) for students in names(document)] == [3, 1]
    most = whole["cohorts"][0]["memory_bytes"]
    document, _ = planned(job, *words, f"cluster.worker_memory_gib={(most - 1) / 2**30!r}")
    assert [len(students) for students in names(document)] == [3, 1]
    assert all(cohort["memory_bytes"] < most for cohort in document["cohorts"])
    too_large = ("cluster.worker_memory_gib=2.005", "student.micro_batch_tokens=99999", "student.batch_tokens=99999")
    code, _, err = job("dq_sweep", dry_run, *words, *too_large)
    assert code == 2 and "student '8-8-8 2-1' needs about" in " ".join(err.split())


@pytest.mark.parametrize("measure", ["loss", "score"])
def test_students_are_given_up_and_stay_so(job, tmp_path, monkeypatch, measure):
    """The worst of three learning rates leaves after half of the steps, marked as stopped, without failure.

    A killed sweep remembers the decision; the survivors have what they have without it; nothing is trained again.
    """
    rates = "sweep.learning_rates=[0.0,1e-3,3e-3]"
    stopping = f"sweep.stopping={{rule: median, fractions: [0.5], measure: {measure}}}"
    plain = json.loads(job("dq_sweep", run, rates, f"storage.path={tmp_path / 'plain'}")[1].splitlines()[-1])
    words = (rates, stopping, f"storage.path={tmp_path / 'stopped'}")
    with monkeypatch.context() as patched:
        patched.setattr(pack, "write_package", killed)
        assert job("dq_sweep", run, *words)[0] == 3
    code, out, err = job("dq_sweep", run, *words)
    document = json.loads(out.splitlines()[-1])
    assert code == 0, err
    stopped = [student for student in document["students"] if student["stopped"]]
    if measure == "loss":  # scores of so few steps may all be equal
        assert [student["name"] for student in stopped] == ["8-8-8 6-3 lr=0.0"]
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'stopped' / 'mlflow.db'}")
    for student in stopped:
        assert student["stopped"].startswith("stopped after 2 of 4 steps by median: validation")
        assert (student["failure"], client.get_run(student["run_id"]).info.status) == (None, "KILLED")
    for mine, theirs in zip(document["students"], plain["students"], strict=True):
        if not mine["stopped"]:
            assert mine["metrics"]["test_rougeLsum"] == theirs["metrics"]["test_rougeLsum"]
            assert mine["metrics"]["task_loss"] == theirs["metrics"]["task_loss"]
    code, out, err = job("dq_sweep", run, *words)
    assert (code, json.loads(out.splitlines()[-1])["students"]) == (0, document["students"])
    code, out, _ = job("dq_sweep", run, *words[:1], words[2])  # without the rule they are wanted after all
    assert [student["stopped"] for student in json.loads(out.splitlines()[-1])["students"]] == [None, None, None]


def test_a_checkpoint_beyond_a_comparison_is_none_for_who_asks_for_it(job, tmp_path, monkeypatch):
    """Killed before packing, and submitted with a rule: who is worse leaves; then without it: nobody has left."""
    rule = "sweep.stopping={rule: median, fractions: [0.5]}"
    words = ("sweep.learning_rates=[0.0,1e-3,3e-3]", f"storage.path={tmp_path}")
    with monkeypatch.context() as patched:
        patched.setattr(pack, "write_package", killed)
        assert job("dq_sweep", run, *words)[0] == 3
        code, _, err = job("dq_sweep", run, *words, rule)
        assert code == 3 and "behind steps after which students are compared now" in " ".join(err.split())
        assert "student 8-8-8 6-3 lr=0.0 stopped after 2 of 4 steps by median" in err
    code, out, err = job("dq_sweep", run, *words)
    assert code == 0, err
    assert [student["stopped"] for student in json.loads(out.splitlines()[-1])["students"]] == [None, None, None]
