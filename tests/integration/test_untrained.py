"""Students that are quantized without training, through the main job: what they are, and what they leave alone."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_task import killed_at_call

from pipeline.export.package import load_package
from pipeline.stages.sweep.job import run
from pipeline.stages.sweep.train import pseudo_labels, quantize_worker, run_cohorts

# The teacher has two layers on each side.
TEACHER = ["model.architecture.encoder_layers=2", "model.architecture.decoder_layers=2"]
LEARNED = "recipe.quantization.activation_granularity=learned"
TRAINED = ("{scheme: 8-8-8, depth: 2-2}", "{scheme: 32-32-32, depth: 2-1}", "{scheme: 2-2-8, depth: 2-1}")
UNTRAINED = tuple(
    f"{{scheme: {scheme}, depth: {depth}, training: ptq}}"
    for scheme, depth in (("8-8-8", "2-2"), ("2-2-8", "2-1"), ("32-32-32", "2-2"), ("32-32-32", "2-1"))
)


def students(*entries):
    return f"sweep.students=[{', '.join(entries)}]"


@pytest.fixture
def swept(job, tmp_path):
    """`swept(folder, entries, *words)`: (document, its students by name, stderr) of a finished sweep."""

    def call(folder, entries, *words):
        place = f"storage.path={tmp_path / folder}"
        code, out, err = job("dq_sweep", run, *TEACHER, students(*entries), place, *words)
        assert code == 0, err
        document = json.loads(out.splitlines()[-1])
        return document, {student["name"]: student for student in document["students"]}, err

    return call


def packed(tmp_path, folder, document, student):
    return tmp_path / folder / "sweeps" / document["sweep"] / "students" / student["key"] / "packed"


def scores(student):
    return {name: value for name, value in student["metrics"].items() if name.startswith("test_")}


def same(first, second):
    """Whether tensors of the same names, of which there are some, are equal to the last bit."""
    both = [name for name in first.keys() & second.keys() if first[name].shape == second[name].shape]
    assert len(both) > 10
    return all(torch.equal(first[name], second[name]) for name in both)


def test_an_untrained_student_is_the_packed_start_of_the_trained_one(swept, tmp_path):
    """To the last bit, calibrated scales and all: a training of no steps leaves the same file."""
    entries = ("{scheme: 8-8-8, depth: 2-2}", "{scheme: 8-8-8, depth: 2-2, training: ptq}")
    document, found, _ = swept("none", entries, "student.max_steps=0", LEARNED)
    trained, untrained = (packed(tmp_path, "none", document, found[name]) for name in ("8-8-8 2-2", "8-8-8 2-2 ptq"))
    assert trained != untrained
    assert (trained / "model.safetensors").read_bytes() == (untrained / "model.safetensors").read_bytes()
    assert scores(found["8-8-8 2-2"]) == scores(found["8-8-8 2-2 ptq"])


def test_untrained_students_stand_in_the_sweep_and_change_nothing_in_it(swept, tmp_path):
    """Scored, exported, timed, logged; 32-32-32 scores what it comes from; the others are what they are without."""
    document, found, err = swept("with", (*TRAINED, *UNTRAINED))
    alone, others, _ = swept("without", TRAINED)
    assert document["status"] == "finished" and "4 to quantize without training" in err
    assert document["sweep"] == alone["sweep"]
    for name, student in others.items():
        assert found[name]["key"] == student["key"] and scores(found[name]) == scores(student)
        files = [
            packed(tmp_path, folder, one, student) / "model.safetensors"
            for folder, one in (("with", document), ("without", alone))
        ]
        assert files[0].read_bytes() == files[1].read_bytes()
    for name in ("8-8-8 2-2 ptq", "2-2-8 2-1 ptq", "32-32-32 2-2 ptq", "32-32-32 2-1 ptq"):
        student = found[name]
        _, info = load_package(packed(tmp_path, "with", document, student))
        assert info.scheme.name == name.split()[0]
        assert {"size_ratio", "speed_ratio", "onnx_speed_ratio", "parity_error"} <= set(student["metrics"])
        assert not any(metric.endswith("_loss") for metric in student["metrics"])  # it has no curves
    teacher = {f"test_{name}": value for name, value in document["teacher"]["scores"].items()}
    assert scores(found["32-32-32 2-2 ptq"]) == teacher
    assert scores(found["32-32-32 2-1 ptq"]) == scores(found["32-32-32 2-1"])
    tensors = {
        name: load_file(packed(tmp_path, "with", document, student) / "model.safetensors")
        for name, student in found.items()
    }
    teacher = load_file(Path(document["teacher"]["folder"]) / "model.safetensors")
    assert same(tensors["32-32-32 2-2 ptq"], teacher)  # the teacher itself, and the trained student itself
    assert same(tensors["32-32-32 2-1 ptq"], tensors["32-32-32 2-1"])
    assert same(tensors["2-2-8 2-1 ptq"], tensors["32-32-32 2-1"])  # what is not quantized: biases, norms
    assert not same(tensors["2-2-8 2-1"], tensors["32-32-32 2-1"])


def test_an_untrained_student_has_the_heads_of_what_it_comes_from(swept, tmp_path):
    """Half of them are gone before anything is quantized; the package says which."""
    half = "heads: 0.5, depth: 2-1"
    entries = (f"{{scheme: 32-32-32, {half}}}", f"{{scheme: 8-8-8, {half}, training: ptq}}")
    document, found, _ = swept("half", entries)
    infos = [load_package(packed(tmp_path, "half", document, student))[1] for student in found.values()]
    assert infos[0].heads == infos[1].heads != {}


def test_a_killed_sweep_repeats_nothing(job, tmp_path, monkeypatch):
    """Killed between two untrained students: the resubmission makes the second one alone."""
    words = [*TEACHER, students(TRAINED[1], *UNTRAINED[2:]), f"storage.path={tmp_path}"]
    real, written = quantize_worker.write_student, []
    with monkeypatch.context() as patched:
        patched.setattr(quantize_worker, "write_student", killed_at_call(real, 2))
        code, _, err = job("dq_sweep", run, *words)
    assert code != 0 and "killed" in err
    monkeypatch.setattr(
        quantize_worker, "write_student", lambda plan, *rest: (written.append(plan.name), real(plan, *rest))
    )
    real_workers, called = run_cohorts.run_workers, []

    def recording(worker, *rest, **options):
        called.append(worker.__name__)
        real_workers(worker, *rest, **options)

    monkeypatch.setattr(run_cohorts, "run_workers", recording)
    code, out, err = job("dq_sweep", run, *words)
    assert code == 0, err
    assert (written, called) == (["32-32-32 2-1 ptq"], ["quantize_students"])
    assert [student["failure"] for student in json.loads(out.splitlines()[-1])["students"]] == [None] * 3


def test_what_it_comes_from_may_have_failed(job, tmp_path, monkeypatch):
    """The untrained student fails with a sentence, and one that comes from the teacher does not."""
    real = run_cohorts.run_workers

    def crashing(worker, *rest, **options):
        if worker.__name__ == "train_students":
            raise RuntimeError("killed")
        real(worker, *rest, **options)

    monkeypatch.setattr(run_cohorts, "run_workers", crashing)
    words = [*TEACHER, students(TRAINED[1], *UNTRAINED[:2]), f"storage.path={tmp_path}"]
    code, _, err = job("dq_sweep", run, *words)
    assert code != 0
    assert "student 2-2-8 2-1 ptq FAILED: student '32-32-32 2-1', which it is before" in err
    assert "student 8-8-8 2-2 ptq: rougeLsum" in err


def test_what_it_comes_from_may_have_been_given_up(job, tmp_path):
    """So is the untrained student then, which is no failure; without the rule both are made."""
    rates = [f"{{scheme: 32-32-32, depth: 2-1, learning_rate: {rate}}}" for rate in ("0.0", "1e-3", "3e-3")]
    untrained = "{scheme: 8-8-8, depth: 2-1, learning_rate: 0.0, training: ptq}"
    words = [*TEACHER, students(*rates, untrained), f"storage.path={tmp_path}"]
    rule = "sweep.stopping={rule: median, fractions: [0.5], measure: loss}"
    for _ in range(2):
        code, out, err = job("dq_sweep", run, *words, rule)
        assert code == 0, err
        first, *others, last = json.loads(out.splitlines()[-1])["students"]
        assert first["stopped"] and not any(student["stopped"] for student in others)
        assert last["stopped"] == f"student '{first['name']}', which it is before it is quantized, was given up early"
        assert last["failure"] is None
    code, out, err = job("dq_sweep", run, *words)
    assert code == 0, err
    made = json.loads(out.splitlines()[-1])["students"]
    assert [student["stopped"] for student in made] == [None] * 4
    assert scores(made[-1])


@pytest.mark.parametrize(("settings", "num_times"), [([], 0), ([LEARNED], 1)], ids=["per token", "learned"])
def test_the_teacher_writes_targets_only_for_scales_that_look_at_them(job, tmp_path, monkeypatch, settings, num_times):
    """A sweep of untrained students alone does not wait for beams over the whole training split."""
    real, written = pseudo_labels.write_pseudo_labels, []

    def recording(work):
        written.append(work)
        real(work)

    monkeypatch.setattr(pseudo_labels, "write_pseudo_labels", recording)
    words = [*TEACHER, students(UNTRAINED[0]), "recipe.sequence.kind=pure", *settings, f"storage.path={tmp_path}"]
    code, _, err = job("dq_sweep", run, *words)
    assert code == 0, err
    assert len(written) == num_times


def test_the_table_says_what_training_wins_back(job, tmp_path):
    """Where the trained, the untrained and the unquantized student were scored; in csv, Markdown and page."""
    scheme = "{scheme: 2-2-8, depth: 6-6"
    words = [students("{scheme: 32-32-32, depth: 6-6}", f"{scheme}}}", f"{scheme}, training: ptq}}")]
    few = ["evaluation.max_examples=6", "teacher.max_steps=2", "evaluation.latency_examples=0"]
    code, out, err = job("dq_sweep", run, "model=seed", *words, *few, f"storage.path={tmp_path}")
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    whole, trained, untrained = (student["metrics"]["test_rougeLsum"] for student in document["students"])
    assert whole > untrained
    report = Path(document["report"])
    share = f"{100 * (trained - untrained) / (whole - untrained):.0f} %"
    [line] = [line for line in (report / "results.md").read_text().splitlines() if line.startswith("| 2-2-8 6-6 |")]
    assert f"| {share} |" in line
    assert "recovered_percent" in (report / "results.csv").read_text()
    assert ">recovered<" in "".join((report / "report.html").read_text().split())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{scheme: 2-2-8, depth: 2-1, training: ptq}", "without '32-32-32 2-1', which it is before it is quantized"),
        ("{scheme: 2-2-8, depth: 2-2, training: ptq, learning_rate: 0.1}", "with learning_rate=0.1: it is the teacher"),
        ("{scheme: 2-2-8, depth: 2-2, training: ptq, distil: false}", "with distil=false: it is the teacher"),
        (
            "{scheme: 2-2-8, depth: 2-2, training: ptq, label: a, recipe: {schedule: ['0.5=8-8-8']}}",
            "with recipe.schedule: it is the teacher",
        ),
        ("{scheme: 2-2-8, depth: 2-2, training: never}", "qat, ptq"),
    ],
)
def test_what_an_untrained_student_cannot_be_is_refused(job, tmp_path, entry, message):
    """Before anything is trained, with what is allowed."""
    code, _, err = job("dq_sweep", run, *TEACHER, students(entry), f"storage.path={tmp_path}")
    assert code == 2
    assert message in " ".join(err.split())
