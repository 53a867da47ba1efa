"""Seeds, schedules, the teacher's own targets and every family through the main job."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.export.package import load_package
from pipeline.stages.sweep.job import run
from pipeline.stages.sweep.train import run_cohorts


def test_seeds_and_targets_of_the_teacher_form_cohorts(job, tmp_path):
    """Two seeds with and without its targets: four cohorts, one teacher, targets written once, means with spread."""
    students = "[{scheme: 2-2-8, depth: 1-1}, {scheme: 2-2-8, depth: 1-1, label: sequence, recipe: {sequence: "
    students += "{kind: interpolated, num_beams: 2}, schedule: ['0.5=32-32-32', '0.75=8-8-8']}}]"
    arguments = (f"sweep.students={students}", "sweep.seeds=[1,2]", f"storage.path={tmp_path}", "student.max_steps=8")
    code, out, err = job("dq_sweep", run, *arguments)
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    names = ["2-2-8 1-1 seed=1", "2-2-8 1-1 sequence seed=1", "2-2-8 1-1 seed=2", "2-2-8 1-1 sequence seed=2"]
    assert [student["name"] for student in document["students"]] == names
    losses = {student["metrics"]["task_loss"] for student in document["students"]}
    assert len(losses) == 4  # every one saw other batches or other targets
    assert err.count("% like the references") == 1
    assert err.count("pseudo-labels: found in") == 1
    means = (Path(document["report"]) / "results.md").read_text().split("| seeds |")[1]
    assert "| 2-2-8 1-1 sequence |" in means
    assert means.count("±") == 10
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    child = client.get_run(document["students"][1]["run_id"])
    assert (child.data.params["seed"], child.data.params["recipe.sequence.kind"]) == ("1", "interpolated")
    code, out, _ = job("dq_sweep", run, *arguments)
    assert json.loads(out.splitlines()[-1]) == document


@pytest.mark.parametrize("family", ["mbart", "marian", "pegasus", "t5"])
def test_every_family_goes_through_the_main_job(job, tmp_path, family):
    """Teacher from scratch, student, package that loads and generates."""
    students = "sweep.students=[{scheme: 2-2-8, depth: 2-1}]"
    code, out, err = job("dq_sweep", run, students, f"model.family={family}", f"storage.path={tmp_path}")
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    student = document["students"][0]
    model, _ = load_package(tmp_path / "sweeps" / document["sweep"] / "students" / student["key"] / "packed")
    assert model.config.model_type == family
    assert student["metrics"]["size_ratio"] > 3


@pytest.mark.parametrize(
    "recipe", ["{pruning: {num_examples: 20}}", "{pruning: {method: gates, num_steps: 4, pace: 9}}"]
)
def test_heads_are_really_removed(job, tmp_path, recipe):
    """Half of them, by importance or by gates: smaller matrices on disk, no code of a removed head anywhere."""
    students = (
        f"[{{scheme: 8-8-8, depth: 2-2}}, {{scheme: 8-8-8, depth: 2-2, heads: 0.5, label: pruned, recipe: {recipe}}}]"
    )
    arguments = (f"sweep.students={students}", f"storage.path={tmp_path}")
    code, out, err = job("dq_sweep", run, *arguments)
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    whole, pruned = (student["metrics"] for student in document["students"])
    assert pruned["size_bytes"] < whole["size_bytes"]
    assert pruned["paper_bytes"] < whole["paper_bytes"]
    folder = tmp_path / "sweeps" / document["sweep"] / "students" / document["students"][1]["key"]
    heads = json.loads((folder / "start" / "heads.json").read_text())
    assert sum(map(len, heads.values())) == 6  # of six attentions with two heads
    model, info = load_package(folder / "packed")
    assert info.heads == heads
    for name, kept in heads.items():
        assert model.get_submodule(name).q_proj.weight.shape[0] == 8 * len(kept)
    code, out, _ = job("dq_sweep", run, *arguments)
    assert json.loads(out.splitlines()[-1]) == document


def test_gates_that_diverge_fail_their_student_alone(job, tmp_path):
    """Its run says why; the other student of the cohort is trained, packed and scored."""
    students = "[{scheme: 8-8-8, depth: 1-1, heads: 0.5, learning_rate: 1e30, label: bad, recipe: {pruning: "
    students += "{method: gates, num_steps: 4}}}, {scheme: 8-8-8, depth: 1-1}]"
    code, out, err = job("dq_sweep", run, f"sweep.students={students}", f"storage.path={tmp_path}")
    bad, good = json.loads(out.splitlines()[-1])["students"]
    assert code == 1, err
    assert bad["failure"].startswith("gates: ") and "optimiser step" in bad["failure"]
    assert good["failure"] is None
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert client.get_run(bad["run_id"]).info.status == "FAILED"


def test_a_cohort_that_crashes_does_not_stop_the_next(job, tmp_path, monkeypatch):
    """The second seed is finished although the first one's workers died; submitted again, only the first is trained."""
    arguments = ("sweep.students=[{scheme: 8-8-8, depth: 1-1}]", "sweep.seeds=[1,2]", f"storage.path={tmp_path}")
    real, crashed = run_cohorts.run_workers, []

    def crashing(worker, work, *rest, **options):
        if not crashed:
            crashed.append(work.students[0].seed)
            raise RuntimeError("worker 0 failed: out of memory")
        real(worker, work, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(run_cohorts, "run_workers", crashing)
        code, _, err = job("dq_sweep", run, *arguments)
    assert (code, crashed) == (3, [1])
    assert "out of memory" in err and "student 8-8-8 1-1 seed=2: rougeLsum" in err
    code, _, err = job("dq_sweep", run, *arguments)
    assert code == 0
    assert "student 8-8-8 1-1 seed=2: found finished" in err and "seed=1: rougeLsum" in err


def test_two_families_in_one_storage_have_two_teachers(job, tmp_path):
    """A teacher's name says what it is."""
    keys = []
    for family in ("bart", "t5"):
        arguments = (
            f"model.family={family}",
            f"storage.path={tmp_path}",
            "sweep.students=[{scheme: 8-8-8, depth: 1-1}]",
        )
        code, out, err = job("dq_sweep", run, *arguments)
        assert code == 0, err
        keys.append(json.loads(out.splitlines()[-1])["teacher"]["key"])
    assert keys[0] != keys[1]
