"""Which models are trained together: what is missing, from the checkpoints that are there."""

from types import SimpleNamespace

import pytest

from pipeline.stages.pretrain.cohorts import CHECKPOINTS, TOGETHER, cohorts_of
from pipeline.stages.pretrain.plan import PretrainPlan
from pipeline.storage.sealed_json import sealed_json
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.loop import Progress

BOTH, D, A = ["distilled", "alone"], ["distilled"], ["alone"]
FOLDERS = {TOGETHER: 2, "distilled": 1, "alone": 1}


def plan_of(folder, wanted, done):
    """A plan of which some models are done."""
    parts = {"model": None, "model_config": None, "num_steps": 9}
    plan = PretrainPlan(key="key", folder=folder, wanted=wanted, **parts)
    for model in map(plan.one, done):
        model.model.mkdir(parents=True)
        for file in (plan.teacher_scores, *model.parts[1:]):
            sealed_json(file, {"some": "numbers"})
    return plan


def interrupt(folder, name, stopped):
    """A checkpoint; `stopped` says who was taken out of it."""
    reasons = ["takes part no more" if model in stopped else None for model in BOTH[: FOLDERS[name]]]
    engine = SimpleNamespace(name="torch", device=SimpleNamespace(type="cpu"))
    parts = {"active": False, "failure": None, "random": SimpleNamespace(state=dict), "engine": engine}
    learners = [SimpleNamespace(stopped=reason, **parts) for reason in reasons]
    Checkpointer(folder / CHECKPOINTS / name).save(learners, Progress(step=3))


@pytest.mark.parametrize(("part", "left"), [(0, A), (1, A), (2, A), ("teacher.json", BOTH)])
def test_what_is_finished_and_damaged_begins_again(tmp_path, part, left):
    """Alone: of the others nothing is lost, unless what is damaged is of all."""
    plan = plan_of(tmp_path, BOTH, BOTH)
    damaged = tmp_path / part if isinstance(part, str) else plan.one("alone").parts[part]
    damaged.rmdir() if damaged.is_dir() else damaged.write_text("{")
    assert plan.left == left and [cohort.continues for cohort in cohorts_of(plan)] == [False]


@pytest.mark.parametrize(
    ("wanted", "done", "checkpoints", "expected"),
    [
        (BOTH, [], {}, [(BOTH, BOTH, False)]),
        (D, [], {}, [(D, D, False)]),
        (BOTH, D, {}, [(A, A, False)]),
        (BOTH, BOTH, {}, []),
        (D, BOTH, {}, []),
        (BOTH, [], {TOGETHER: []}, [(BOTH, BOTH, True)]),
        (D, [], {TOGETHER: []}, [(BOTH, D, True)]),
        (BOTH, [], {TOGETHER: ["alone"]}, [(BOTH, D, True), (A, A, False)]),
        (BOTH, [], {"distilled": []}, [(D, D, True), (A, A, False)]),
        (BOTH, D, {"alone": []}, [(A, A, True)]),
        (BOTH, [], {TOGETHER: ["alone"], "alone": []}, [(BOTH, D, True), (A, A, True)]),
    ],
)
def test_interrupted_models_go_on_and_missing_ones_begin(tmp_path, wanted, done, checkpoints, expected):
    """(members, who takes part, whether from a checkpoint); nobody is trained twice, nobody is forgotten."""
    plan = plan_of(tmp_path, wanted, done)
    for name, stopped in checkpoints.items():
        interrupt(tmp_path, name, stopped)
    found = cohorts_of(plan)
    members = [[model.name for model in cohort.models] for cohort in found]
    trained = [[model.name for model in cohort.trained] for cohort in found]
    assert list(zip(members, trained, [cohort.continues for cohort in found], strict=True)) == expected


def test_checkpoints_of_earlier_versions_are_left_alone(tmp_path):
    """Their folders name engine, number of ranks and device; nothing here can read them."""
    interrupt(tmp_path, TOGETHER, [])
    (tmp_path / CHECKPOINTS / TOGETHER).rename(tmp_path / CHECKPOINTS / "torch-2-cpu")
    (cohort,) = cohorts_of(plan_of(tmp_path, BOTH, []))
    assert not cohort.continues and cohort.checkpoints == tmp_path / CHECKPOINTS / TOGETHER
