"""Whose students a night trains: what is configured wins, then the champion's own, then the schema's default."""

import json

import pytest

from pipeline.config.errors import UserError
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.load import load_config
from pipeline.config.sections.sweep import StudentConfig
from pipeline.serving.logged_models import LoggedStudent
from pipeline.serving.registry import Candidate, register
from pipeline.stages.retrain.ledger import FILE
from pipeline.stages.retrain.precheck import check_night
from pipeline.stages.retrain.settings import names_students, sweep_with
from pipeline.stages.retrain.students import STUDENT, student_of, student_tag, students_tonight
from pipeline.tracking.tracker import RunSpec

TERNARY = {"quantization": {"lm_head": False}}


def config(*words):
    return load_config(RetrainJob, ["cluster=process", "task=docstrings", *words])


@pytest.fixture
def version(tracker):
    """`version(name, tags, params)`: a version of the registered model, its number."""

    def make(name, tags=None, params=None):
        with tracker.start(RunSpec(name=name, key=name, kind="student", params=params or {})) as run:
            pass
        model = tracker.client.create_logged_model(tracker.experiment_id, "student", source_run_id=run.run_id)
        logged = LoggedStudent(run_id=run.run_id, model_id=model.model_id, location=model.artifact_location)
        student = Candidate(
            model=logged, examples="e", headline=1.0, size_bytes=1, tags={"student": name, **(tags or {})}
        )
        return str(register(tracker, "retrained", [student])[run.run_id])

    return make


@pytest.mark.parametrize(
    "student",
    [
        StudentConfig(scheme="4-4-8", depth="6-3"),
        StudentConfig(),
        StudentConfig(scheme="2-2-8", depth="3-1", label="no head", recipe=TERNARY, learning_rate=0.001),
        StudentConfig(depth="2-1", encoder_map=[0, 3], decoder_map=[2], heads=0.5, distil=False, training="ptq"),
    ],
    ids=lambda student: student.name,
)
@pytest.mark.parametrize("seed", ["", " seed=29"])
def test_a_version_says_what_its_student_is(version, tracker, student, seed):
    """All of it, whatever its run says; with the seed that it was the best of."""
    given = config("sweep.schemes=[8-8-8]", "sweep.seeds=2" if seed else "sweep.cohort_size=2")
    sweep = sweep_with(given, given.data, given.task, given.model)
    object.__setattr__(sweep.sweep, "students", [student])
    number = version(f"{student.name}{seed}", student_tag(sweep, f"{student.name}{seed}"))
    assert student_of(tracker, "retrained", number) == student
    tonight = students_tonight(config(), tracker, number)
    assert tonight.sweep.points() == [student] and f"version {number}" in tonight.source


def test_what_is_configured_wins(version, tracker):
    """A list, an axis, a search; seeds and cohorts name nobody."""
    number = version("4-4-8 6-3", {STUDENT: json.dumps({"scheme": "4-4-8"})})
    for words in ("students=[{scheme: 2-2-8, depth: 3-1}]", "depths=[3-1]", "learning_rates=[0.1]", "recipes=[dqbart]"):
        given = config(f"sweep.{words}")
        tonight = students_tonight(given, tracker, number)
        assert tonight.sweep == given.sweep and "of the settings" in tonight.source, words
    assert names_students(config("sweep.search=found").sweep)
    assert not names_students(config("sweep.seeds=3", "sweep.cohort_size=1").sweep)
    assert students_tonight(config("sweep.seeds=3"), tracker, number).sweep.seeds == 3


def test_before_the_first_champion_it_is_the_default_of_the_schema(tracker):
    """And said to be."""
    tonight = students_tonight(config(), tracker, None)
    assert [one.name for one in tonight.sweep.points()] == ["8-8-8 6-3"] and "no champion" in tonight.source


def test_a_version_without_the_tag_is_known_by_its_run(version, tracker):
    """As versions of earlier nights, or of a sweep that registered them."""
    params = {"scheme": "2-2-8", "depth": "3-1", "heads": 0.5, "distil": False, "label": "", "training": "qat"}
    number = version("2-2-8 3-1 heads=0.5 no-distil seed=29", params={**params, "encoder_map": [0, 2, 5]})
    assert student_of(tracker, "retrained", number) == StudentConfig(
        scheme="2-2-8", depth="3-1", heads=0.5, distil=False
    )


@pytest.mark.parametrize(
    ("name", "tags", "params", "said"),
    [
        ("a", {}, {}, "names no scheme and depth"),
        ("2-2-8 3-1 mine", {}, {"scheme": "2-2-8", "depth": "3-1", "label": "mine"}, "its label is 'mine'"),
        ("2-2-8 2-1 encoder=0,3", {}, {"scheme": "2-2-8", "depth": "2-1"}, "it is called '2-2-8 2-1 encoder=0,3'"),
        ("b", {STUDENT: "{"}, {}, "is no JSON"),
        ("c", {STUDENT: '{"scheme": "9"}'}, {}, "scheme '9'"),
        ("d", {STUDENT: '{"shceme": "8-8-8"}'}, {}, "shceme"),
    ],
)
def test_a_champion_that_does_not_say_what_it_is_is_not_guessed(version, tracker, name, tags, params, said):
    """The way out is named, and configuring students is one that always works."""
    number = version(name, tags, params)
    with pytest.raises(UserError, match=said):
        students_tonight(config(), tracker, number)
    assert students_tonight(config("sweep.depths=[3-1]"), tracker, number).sweep.depths == ["3-1"]


def test_only_a_first_night_is_held_to_the_default_before_it_starts(tmp_path):
    """Later ones have the champion's students, which nobody knows yet; what is configured is always looked at."""
    words = ["task=classification", "model=tiny_encoder", f"storage.path={tmp_path}"]
    with pytest.raises(UserError, match="6-3"):
        check_night(config(*words))
    (tmp_path / "retrain" / "retrained").mkdir(parents=True)
    (tmp_path / "retrain" / "retrained" / FILE).write_text("")
    check_night(config(*words))
    with pytest.raises(UserError, match="6-3"):
        check_night(config(*words, "sweep.depths=[6-3]"))
