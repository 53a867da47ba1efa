"""What is decided of a student before training: once, on the driver, and the same on every worker."""

import pickle
from dataclasses import FrozenInstanceError, asdict, fields, replace
from pathlib import Path

import pytest
from transformers import BartConfig

from pipeline.config.errors import UserError
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config
from pipeline.config.sections.recipe import SequenceConfig
from pipeline.config.sections.sweep import StudentConfig
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.sweep.plan.students import Untrained, layer_maps, plan_student
from pipeline.stages.sweep.train.cohort_worker import CohortWork
from pipeline.stages.sweep.train.prune_heads import PruningWork
from pipeline.stages.sweep.train.pseudo_labels import PseudoLabelsWork
from pipeline.stages.sweep.train.quantize_worker import QuantizingWork
from pipeline.stages.teacher.fine_tune import TeacherWork
from pipeline.stages.teacher.finished import TeacherResult

TEACHER = BartConfig(encoder_layers=6, decoder_layers=6)
CONFIG = load_config(SweepJob, ["student.learning_rate=1e-3", "student.dropout=0.2"])
PURE, GATES = {"sequence": {"kind": "pure"}}, {"pruning": {"method": "gates"}}


@pytest.fixture
def plan(tmp_path):
    """The plan of a student: `plan(**settings)`."""

    def call(**settings):
        student = StudentConfig(**settings)
        [maps] = layer_maps([student], TEACHER)
        return plan_student(CONFIG, student, maps, key="k", seed=3, shows_seed=True, folder=tmp_path / "k")

    return call


def test_a_plan_holds_what_the_job_and_the_student_say(plan, tmp_path):
    """What a student does not say itself is the job's."""
    student = plan(scheme="2-4-8", depth="2-1", label="mine", recipe={"schedule": ["0.5=8-8-8"]})
    assert student.recipe.schedule == ["0.5=8-8-8"] != CONFIG.recipe.schedule
    assert student.recipe.quantization == CONFIG.recipe.quantization
    assert student.scheme == scheme_of("2-4-8", CONFIG.recipe.quantization)
    assert (len(student.encoder_map), len(student.decoder_map)) == (2, 1)
    assert (student.learning_rate, student.dropout) == (1e-3, 0.2)
    assert (student.start_folder, student.packed_folder) == (tmp_path / "k" / "start", tmp_path / "k" / "packed")
    assert student.name == "2-4-8 2-1 mine seed=3"


def test_the_learning_rate_of_a_student_goes_before_the_jobs(plan):
    """Also where it is 0."""
    assert [plan(learning_rate=rate).learning_rate for rate in (None, 0.0, 0.5)] == [1e-3, 0.0, 0.5]


def test_a_student_without_a_teacher_learns_the_references(plan):
    """Whatever its recipe says of the teacher's texts."""
    assert plan(recipe=PURE, label="a").sequence.kind == "pure"
    assert plan(recipe=PURE, label="a", distil=False).sequence == SequenceConfig()


def test_a_group_is_one_student_whatever_its_seed(plan, tmp_path):
    """And no other student."""
    one, [maps] = StudentConfig(), layer_maps([StudentConfig()], TEACHER)
    seeds = [
        plan_student(CONFIG, one, maps, key=str(seed), seed=seed, shows_seed=True, folder=tmp_path) for seed in (1, 2)
    ]
    assert len({student.group for student in seeds}) == 1 and len({student.name for student in seeds}) == 2
    assert plan(depth="3-1").group != seeds[0].group


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"recipe": {"pruning": {"metod": "gates"}}, "label": "a"}, "pruning.metod"),
        ({"recipe": {"quantization": {"weights": {"four_bit": "twn"}}}, "label": "a", "scheme": "4-4-8"}, "four_bit"),
        ({"depth": "7-1"}, "7"),
    ],
)
def test_an_impossible_student_is_refused_before_it_travels(plan, settings, named):
    """With what is wrong; the same student without it is planned."""
    with pytest.raises(UserError, match=named):
        plan(**settings)
    plan(**{name: value for name, value in settings.items() if name not in ("recipe", "depth")})


def works(plan):
    task = PreparedTask(
        tokenizer_folder="tokenizer", tokens_folder="tokens", fingerprint="f", start="scratch", labels=["no", "yes"]
    )
    teacher = TeacherResult(key="t", folder="t/model", size_bytes=9, validation={"loss": 1.0}, scores={}, run_id=None)
    students = [plan(heads=0.5, label="gates", recipe=GATES), plan(scheme="2-2-8", distil=False)]
    yield TeacherWork(config=CONFIG, task=task, key="t", folder=Path("t"))
    yield PseudoLabelsWork(
        config=CONFIG, task=task, settings=SequenceConfig(kind="pure"), teacher_folder=Path("t"), folder=Path("p")
    )
    yield PruningWork(
        config=CONFIG, task=task, student=students[0], teacher_folder=Path("t"), training_tokens=Path("p")
    )
    yield CohortWork(
        config=CONFIG,
        task=task,
        name="cohort 1 of 1",
        teacher_result=teacher,
        students=students,
        already_done=frozenset({"k"}),
        training_tokens=Path("p"),
        checkpoints=Path("c"),
        parent_run_id="run",
    )

    origin = plan(scheme="32-32-32", depth="3-1")
    untrained = replace(
        plan(depth="3-1", training="ptq"),
        untrained=Untrained(origin=origin, trained_key="a", full_precision_key="b"),
    )
    yield QuantizingWork(
        config=CONFIG,
        task=task,
        teacher_result=teacher,
        students=[untrained],
        training_tokens=Path("p"),
        parent_run_id="run",
    )


def test_workers_get_what_the_driver_has_decided(plan):
    """Every work arrives as it was sent, type by type and value by value, and cannot be changed there."""
    for work in works(plan):
        arrived = pickle.loads(pickle.dumps(work))
        assert arrived == work and type(arrived) is type(work)
        assert repr(asdict(arrived)) == repr(asdict(work))  # 1 and 1.0 are equal, and not the same
        with pytest.raises(FrozenInstanceError):
            setattr(arrived, fields(arrived)[0].name, None)
