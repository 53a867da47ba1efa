"""The main job from arguments to packed models and MLflow runs, in one process."""

import copy
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from damage import damage
from mlflow import MlflowClient
from small_task import called, killed_at_call

from pipeline.export.package import load_package
from pipeline.serving.logged_models import model_name
from pipeline.stages.sweep import job as sweep_job
from pipeline.stages.sweep.job import run
from pipeline.stages.sweep.student import pack
from pipeline.stages.sweep.train import run_cohorts
from pipeline.stages.teacher import fine_tune
from pipeline.training.engine import TorchEngine

STUDENTS = "sweep.students=[{scheme: 8-8-8, depth: 6-3}, {scheme: 2-2-8, depth: 3-1, distil: false}]"
STORE = "mlflow.db"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small):
    """A finished sweep of two students, trained once: (storage folder, a copy of it, the job's document, stderr)."""
    storage, kept = tmp_path_factory.mktemp("swept"), tmp_path_factory.mktemp("kept") / "storage"
    code, out, err = called("dq_sweep", run, *small, STUDENTS, f"storage.path={storage}")
    assert code == 0, err
    shutil.copytree(storage, kept)
    return storage, kept, json.loads(out.splitlines()[-1]), err


@pytest.fixture
def swept(finished):
    """It as it was when it had finished: (storage folder, the job's document, stderr)."""
    storage, kept, document, err = finished
    for path in storage.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    others = shutil.ignore_patterns(STORE)
    shutil.copytree(kept, storage, ignore=others, dirs_exist_ok=True)
    # In place: MLflow has the file open.
    with closing(sqlite3.connect(kept / STORE)) as before, closing(sqlite3.connect(storage / STORE)) as now:
        before.backup(now)
    return storage, copy.deepcopy(document), err


def children(storage, document):
    client = MlflowClient(tracking_uri=f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dq-bart")
    runs = client.search_runs([experiment.experiment_id])
    return client, {r.info.run_name: r for r in runs if r.data.tags.get("mlflow.parentRunId") == document["run_id"]}


def test_a_sweep_leaves_packed_models_runs_and_a_table(swept, tmp_path_factory, monkeypatch):
    """Every student has a package that loads, a finished child run with curves and sizes; the parent a report."""
    storage, document, err = swept
    client, runs = children(storage, document)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{storage / 'mlflow.db'}")  # for logged models, client or not
    assert set(runs) == {"8-8-8 6-3", "2-2-8 3-1 no-distil"}
    for student in document["students"]:
        child = runs[student["name"]]
        packed = storage / "sweeps" / document["sweep"] / "students" / student["key"] / "packed"
        _, info = load_package(packed)
        assert info.scheme.name == child.data.params["scheme"]
        assert child.info.status == "FINISHED"
        assert child.data.metrics["size_bytes"] == (packed / "model.safetensors").stat().st_size
        assert {"test_rougeLsum", "size_ratio", "paper_ratio", "rougeLsum_lost"} <= set(child.data.metrics)
        assert len(client.get_metric_history(child.info.run_id, "task_loss")) == 4
        assert {"predictions.jsonl", "samples.json"} <= {item.path for item in client.list_artifacts(child.info.run_id)}
        place = tmp_path_factory.mktemp("model")  # stored once, inside the logged model
        load_package(
            Path(client.download_artifacts(child.info.run_id, f"{model_name(student['name'])}/data/packed", str(place)))
        )
        assert student["name"] in err
    distilled = runs["8-8-8 6-3"].data.metrics
    names = ("logits", "encoder_attention", "decoder_attention", "cross_attention", "encoder_hidden", "decoder_hidden")
    assert all(f"{name}_loss" in distilled for name in names)
    report = {path.name for path in Path(document["report"]).iterdir()}
    tables = {"plan.txt", "results.csv", "results.md", "samples.json", "config.yaml"}
    pictures = {"quality_vs_size.png", "quality_vs_latency.png", "curves.png"}
    assert report == {"report.html", *tables, *pictures}
    logged = client.list_artifacts(document["run_id"], "report")
    assert {item.path for item in logged} == {f"report/{name}" for name in report}
    assert "| 8-8-8 6-3 |" in client.get_run(document["run_id"]).data.tags["mlflow.note.content"]
    check_report(document, Path(document["report"]))


def check_report(document, folder):
    """Sources, references and outputs side by side; every student's curves; every run id."""
    samples = json.loads((folder / "samples.json").read_text())
    assert samples["columns"] == ["source", "references", "teacher (fp32)", "8-8-8 6-3", "2-2-8 3-1 no-distil"]
    assert len(samples["data"]) == 15
    assert all(source.startswith(reference) for source, reference, *_ in samples["data"])
    page = (folder / "report.html").read_text()
    figure = json.loads(page.split('data-figure="curves">')[1].split("</script>")[0])
    names = [trace["name"] for trace in figure["data"]]
    assert {name: names.count(name) for name in names} == {"8-8-8 6-3": 10, "2-2-8 3-1 no-distil": 4}
    assert all(len(trace["x"]) == 4 for trace in figure["data"])
    lines = (folder / "results.csv").read_text()
    assert all(run in lines for run in [document["teacher"]["run_id"], *(s["run_id"] for s in document["students"])])


def test_students_may_ask_for_relations_of_different_teacher_layers(job, tmp_path):
    """In one cohort, on one teacher pass; their curves are in their runs."""
    entries = [
        f"{{scheme: 2-2-8, depth: 1-1, label: layer {layer}, recipe: {{distillation: {{contrastive: 1, hidden_kind:"
        f" normalised, encoder_relations: 1, decoder_relations: 1, encoder_relation_layer: {layer}}}}}}}"
        for layer in (0, 4)
    ]
    arguments = [f"sweep.students=[{', '.join(entries)}]", f"storage.path={tmp_path}"]
    code, out, err = job("dq_sweep", run, *arguments)
    assert code == 0, err
    _, runs = children(tmp_path, json.loads(out.splitlines()[-1]))
    one, other = (run.data.metrics for run in runs.values())
    for name in ("contrastive_loss", "encoder_relations_loss", "decoder_relations_loss"):
        assert min(one[name], other[name]) > 0
    assert one["encoder_relations_loss"] != other["encoder_relations_loss"]


def test_the_second_sweep_trains_nothing(swept, job, monkeypatch):
    """A resubmitted sweep finds teacher and students and gives the same document."""
    storage, document, _ = swept

    def forbidden(*arguments, **options):
        raise AssertionError("training started")

    monkeypatch.setattr(run_cohorts, "run_workers", forbidden)
    monkeypatch.setattr(fine_tune, "run_workers", forbidden)
    code, out, err = job("dq_sweep", sweep_job.run, STUDENTS, f"storage.path={storage}")
    assert code == 0, err
    assert json.loads(out.splitlines()[-1]) == document


def test_a_larger_sweep_trains_only_what_is_new(swept, job, monkeypatch):
    """Students that another submission finished are not trained again, and stand in the same parent run."""
    storage, document, _ = swept
    trained = []
    real = run_cohorts.run_workers

    def recording(worker, work, *rest, **options):
        trained.append(work)
        real(worker, work, *rest, **options)

    monkeypatch.setattr(run_cohorts, "run_workers", recording)
    more = STUDENTS.replace("]", ", {scheme: 4-4-8, depth: 1-1}]")
    code, _, _ = job("dq_sweep", run, more, f"storage.path={storage}")
    assert code == 0
    assert [student.config.scheme for student in trained[0].students] == ["4-4-8"]
    _, runs = children(storage, document)
    assert len(runs) == 3


def test_a_damaged_teacher_and_its_data_are_made_again(swept, job):
    """A turned bit of either would train the next student differently; now it learns from what was there before."""
    storage, document, _ = swept
    [teacher] = (storage / "teachers").glob("*/model/model.safetensors")
    [tokens] = (storage / "cache" / "tokens").glob("*/train/*.arrow")
    before = [teacher.read_bytes(), tokens.read_bytes()]
    for path in (teacher, tokens):
        damage(path, "flipped")
    arguments = ["sweep.students=[{scheme: 8-8-8, depth: 6-3}, {scheme: 2-2-8, depth: 1-1}]", f"storage.path={storage}"]
    code, out, err = job("dq_sweep", run, *arguments)
    assert code == 0, err
    assert err.count("is damaged: expected SHA-256") == 2
    assert f"teacher {document['teacher']['key']} is trained again" in err and "token ids are made again" in err
    assert [teacher.read_bytes(), tokens.read_bytes()] == before
    again = json.loads(out.splitlines()[-1])
    assert again["teacher"]["scores"] == document["teacher"]["scores"] and len(again["students"]) == 3


def test_a_diverging_student_fails_alone(job, tmp_path):
    """An absurd learning rate fails its student with step and reason; the other finishes; the exit code says so."""
    students = "sweep.students=[{scheme: 8-8-8, depth: 6-3, learning_rate: 1e30}, {scheme: 8-8-8, depth: 6-3}]"
    code, out, err = job("dq_sweep", run, students, f"storage.path={tmp_path}")
    document = json.loads(out.splitlines()[-1])
    bad, good = document["students"]
    assert code == 1
    assert document["status"] == "failed"
    assert "non-finite" in bad["failure"] or "gradient norm" in bad["failure"]
    assert "optimiser step" in bad["failure"]
    assert good["failure"] is None
    client, runs = children(tmp_path, document)
    assert runs[bad["name"]].info.status == "FAILED"
    assert runs[good["name"]].info.status == "FINISHED"
    assert client.get_run(document["run_id"]).info.status == "FAILED"
    assert "FAILED" in err


def test_company_changes_no_result(swept, job, tmp_path_factory):
    """A student swept alone has the scores it has in company."""
    _, document, _ = swept
    alone = "sweep.students=[{scheme: 8-8-8, depth: 6-3}]"
    _, out, _ = job("dq_sweep", run, alone, f"storage.path={tmp_path_factory.mktemp('alone')}")
    mine, theirs = json.loads(out.splitlines()[-1])["students"][0], document["students"][0]
    for name in ("task_loss", "logits_loss", "test_rougeL", "size_bytes"):
        assert mine["metrics"][name] == theirs["metrics"][name]


@pytest.mark.parametrize("when", ["training", "packing"])
def test_a_killed_sweep_continues_to_the_same_result(swept, job, tmp_path_factory, monkeypatch, when):
    """Killed after a checkpoint or after training and submitted again: the metrics of an undisturbed run, bit for bit.

    The failed student stays failed.
    """
    _, undisturbed, _ = swept
    folder = tmp_path_factory.mktemp("killed")
    diverging = ", {scheme: 8-8-8, depth: 1-1, learning_rate: 1e30}]"
    arguments = (STUDENTS.replace("]", diverging), f"storage.path={folder}", "student.checkpoint_every_steps=2")
    with monkeypatch.context() as patched:
        if when == "training":
            patched.setattr(TorchEngine, "step", killed_at_call(TorchEngine.step, 9))
        else:
            patched.setattr(pack, "write_package", killed_at_call(pack.write_package, 2))
        code, out, _ = job("dq_sweep", run, *arguments)
        assert (code, json.loads(out.splitlines()[-1])["status"]) == (3, "error")
    code, out, _ = job("dq_sweep", run, *arguments)
    assert code == 1
    *good, bad = json.loads(out.splitlines()[-1])["students"]
    assert "optimiser step" in bad["failure"]
    for mine, theirs in zip(good, undisturbed["students"], strict=True):
        for name in ("task_loss", "gradient_norm", "test_rougeL", "size_bytes"):
            assert mine["metrics"][name] == theirs["metrics"][name]


def test_earlier_students_stay_in_the_table(swept, job):
    """A submission with other students extends the table and does not hide what failed before."""
    storage, _, _ = swept
    code, _, _ = job(
        "dq_sweep", run, "sweep.students=[{scheme: 8-8-8, depth: 1-1, learning_rate: 1e30}]", f"storage.path={storage}"
    )
    assert code == 1
    code, out, err = job("dq_sweep", run, "sweep.students=[{scheme: 4-4-8, depth: 1-1}]", f"storage.path={storage}")
    assert code == 0
    students = json.loads(out.splitlines()[-1])["students"]
    assert [student["requested"] for student in students] == [True, False, False, False]
    assert "FAILED" in err


def test_students_of_one_sweep_can_have_recipes_of_their_own(job, tmp_path):
    """One teacher pass serves the published method, learned four-level weights and single bits alike."""
    published = (
        "{distillation: {reduction: tensor, logits_kind: mse}, quantization: {as_published: true, lm_head: false,"
    )
    published += " probabilities: signed, post_activation: symmetric, weights: {two_bit: twn},"
    published += " embeddings: {two_bit: twn}}}"
    learned = "{quantization: {weights: {two_bit: anchored}, embeddings: {two_bit: lsq}}}"
    students = f"sweep.students=[{{scheme: 2-2-8, depth: 1-1, label: published, recipe: {published}}},"
    students += f" {{scheme: 2-2-8, depth: 1-1, label: learned, recipe: {learned}}}, {{scheme: 1-1.58-2, depth: 1-1}},"
    students += (
        " {scheme: 2-2-2, depth: 1-1, label: elastic, recipe: {quantization: {activation_granularity: learned}}}]"
    )
    code, out, err = job("dq_sweep", run, students, f"storage.path={tmp_path}")
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    packed = {s["name"]: tmp_path / "sweeps" / document["sweep"] / "students" / s["key"] for s in document["students"]}
    infos = {name: load_package(folder / "packed")[1].scheme.quantization for name, folder in packed.items()}
    assert not infos["2-2-8 1-1 published"].lm_head
    assert infos["2-2-8 1-1 learned"].weights.two_bit == "anchored"
    assert infos["2-2-2 1-1 elastic"].activation_granularity == "learned"
    assert infos["1-1.58-2 1-1"].weights.two_bit == "seq"
    _, runs = children(tmp_path, document)
    params = runs["2-2-8 1-1 learned"].data.params
    assert (params["recipe.quantization.weights.two_bit"], params["scheme"]) == ("anchored", "2-2-8")


def test_weights_that_the_last_update_breaks_fail_their_student(job, tmp_path):
    """No loss has seen them; the student is not packed, its neighbour is."""
    students = "sweep.students=[{scheme: 32-32-32, depth: 1-1, learning_rate: 1e39}, {scheme: 2-2-8, depth: 1-1}]"
    code, out, _ = job("dq_sweep", run, students, f"storage.path={tmp_path}", "student.max_steps=1")
    bad, good = json.loads(out.splitlines()[-1])["students"]
    assert code == 1
    assert "after the last optimiser step" in bad["failure"]
    assert good["failure"] is None


def test_finished_students_survive_the_deletion_of_their_parent_run(swept, job):
    """They move below the new parent; only students whose package is gone are trained again."""
    storage, document, _ = swept
    client, _ = children(storage, document)
    client.delete_run(document["run_id"])
    code, out, err = job("dq_sweep", run, STUDENTS, f"storage.path={storage}")
    again = json.loads(out.splitlines()[-1])
    assert code == 0
    assert err.count("found finished") == 3
    assert again["run_id"] != document["run_id"]
    assert [s["metrics"] for s in again["students"]] == [s["metrics"] for s in document["students"]]


def test_an_interrupted_cohort_goes_on_beside_a_student_that_was_added(job, tmp_path, monkeypatch):
    """It continues from its checkpoint; the new student forms a cohort of its own."""
    arguments = [f"storage.path={tmp_path}", "student.checkpoint_every_steps=2"]
    with monkeypatch.context() as patched:
        patched.setattr(TorchEngine, "step", killed_at_call(TorchEngine.step, 9))
        assert job("dq_sweep", run, STUDENTS, *arguments)[0] == 3
    code, _, err = job("dq_sweep", run, STUDENTS.replace("]", ", {scheme: 4-4-8, depth: 1-1}]"), *arguments)
    assert code == 0
    assert "cohort 1 of 2: 3/4" in err
    assert "cohort 2 of 2: 1/4" in err
    assert "cohort 1 of 2: 1/4" not in err
    assert not list(tmp_path.glob("sweeps/*/checkpoints/*"))
