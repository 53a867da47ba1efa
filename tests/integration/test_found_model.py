"""What `model=` may be: every way to a student leads to the same bytes; whatever is no student is told what it is."""

import hashlib
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.config.errors import UserError
from pipeline.config.jobs.export import ExportJob
from pipeline.config.load import load_config
from pipeline.serving.logged_models import model_name
from pipeline.stages.use.find_student import find_model
from pipeline.storage.digests import sha256_of
from pipeline.tracking.store import local_tracking_uri
from pipeline.tracking.tracker import RunSpec, Tracker


@pytest.fixture
def find(served_sweep):
    """Find a student from that sweep's storage folder: `find(given)`."""
    storage, _ = served_sweep
    return lambda given: find_model(load_config(ExportJob, [f"storage.path={storage}"]), str(given))


@pytest.fixture
def folder(served_sweep):
    """The folder of the first student."""
    storage, document = served_sweep
    return storage / "sweeps" / document["sweep"] / "students" / document["students"][0]["key"]


def ways(served_sweep, folder):
    storage, document = served_sweep
    student = document["students"][0]
    client = MlflowClient(tracking_uri=f"sqlite:///{storage / 'mlflow.db'}")
    [output] = client.get_run(student["run_id"]).outputs.model_outputs
    location = client.get_logged_model(output.model_id).artifact_location.removeprefix("file://")
    version = document["versions"][student["name"]]
    return {
        "a package": folder / "packed",
        "a student's folder": folder,
        "a logged model's folder": location,
        "a run id": student["run_id"],
        "a run name": student["name"],
        "a version": f"short titles/{version}",
        "an address of a version": f"models:/short titles/{version}",
        "an address of a model": f"models:/{output.model_id}",
        "an address of a run": f"runs:/{student['run_id']}",
        "an address of a run's model": f"runs:/{student['run_id']}/{model_name(student['name'])}",
    }


def test_every_way_leads_to_the_same_package(served_sweep, folder, find):
    """Downloaded once, whole, under the digest of its manifest; both forms where both are kept."""
    expected = {path.name: sha256_of(path) for path in (folder / "packed").iterdir()}
    for way, given in ways(served_sweep, folder).items():
        found = find(given)
        assert {path.name: sha256_of(path) for path in found.package.iterdir()} == expected, way
        assert (found.exported is not None) == (way != "a package"), way
        if found.exported is not None:
            assert sha256_of(found.exported / "manifest.json") == sha256_of(folder / "onnx" / "manifest.json"), way
    digest = hashlib.sha256((folder / "packed" / "manifest.json").read_bytes()).hexdigest()
    assert len(list((served_sweep[0] / "cache" / "models").glob(f"*{digest[:16]}*"))) == 1
    assert not list((served_sweep[0] / "cache" / "models").glob(".*"))


def test_an_alias_leads_to_its_version(served_sweep, find):
    """By its short form and by its address."""
    _, document = served_sweep
    smallest = min(document["students"], key=lambda student: student["metrics"]["size_bytes"])
    for given in ("short titles@smallest", "models:/short titles@smallest"):
        assert find(given).name == model_name(smallest["name"])


def test_an_exported_folder_is_known_by_its_manifest(folder, find, tmp_path):
    """Wherever it lies; its name is that of the folder."""
    shutil.copytree(folder / "onnx", tmp_path / "on a phone")
    found = find(tmp_path / "on a phone")
    assert (found.name, found.package, found.exported) == ("on a phone", None, tmp_path / "on a phone")


def test_graphs_beside_a_package_are_its_own(served_sweep, folder, find, tmp_path):
    """Those of another student are refused, not answered from."""
    _, document = served_sweep
    other = folder.with_name(document["students"][1]["key"])
    shutil.copytree(folder / "packed", tmp_path / "mixed" / "packed")
    shutil.copytree(other / "onnx", tmp_path / "mixed" / "onnx")
    with pytest.raises(UserError, match="another student"):
        find(tmp_path / "mixed")


def test_what_is_no_student_is_told_what_it_is(served_sweep, folder, find, tmp_path):
    """Teachers, sweeps, wrong names, aliases, versions, folders, files: what there is instead is named."""
    storage, document = served_sweep
    run_id, teacher = document["students"][0]["run_id"], document["teacher"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("a text")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    for given, part in (
        ("", "no model"),
        ("a text " * 100, "File name too long"),
        ("~nobody-/x", "no such home folder"),
        ("8-8-8\udcff", "does not exist"),
        (tmp_path / "nowhere", "does not exist"),
        ("./nowhere", "does not exist"),
        ("no/where", "does not exist"),
        ("nowhere.zip", "does not exist"),
        (tmp_path / "empty", "is not a student: it has no manifest.json"),
        (tmp_path / "text.txt", "is not the .zip of an exported model"),
        (tmp_path / "broken.zip", "is not the .zip of an exported model"),
        (teacher["folder"], "in full precision"),
        (storage / "sweeps" / document["sweep"], "it is a sweep; its students lie in"),
        (teacher["run_id"], "is a teacher's, in full precision"),
        (document["run_id"], "is a sweep. Allowed: one of its finished students: 2-2-8 3-1, 8-8-8 6-3"),
        ("0" * 32, "no run of the id or name"),
        ("8-8-8 6-2", "did you mean '8-8-8 6-3'"),
        ("short titles@bets", "no alias 'bets' of short titles. Allowed: @best, @smallest"),
        ("short titles/7", "no version '7' of short titles. Allowed: @best, @smallest, 1, 2"),
        ("short title@best", "did you mean 'short titles'"),
        ("models:/short titles", "name@alias or name/version"),
        ("models:/m-" + "0" * 32, "no logged model"),
        ("runs:/" + "0" * 32 + "/x", "no run '"),
        (f"runs:/{run_id}/x", "no model 'x' on run '8-8-8 6-3'. Allowed: 8-8-8-6-3"),
    ):
        with pytest.raises(UserError) as caught:
            find(given)
        assert part in str(caught.value), (given, str(caught.value))


@pytest.mark.parametrize(
    ("ends", "kind", "part"),
    [
        (True, "student", "has no logged model"),
        (False, "student", "is running. Allowed: a finished student"),
        (True, "retraining", "is no student's"),
    ],
)
def test_a_run_without_a_model_is_refused(ends, kind, part, tmp_path):
    """With what it lacks."""
    run = Tracker(local_tracking_uri(tmp_path), "dq-bart", tmp_path).start(RunSpec(name="it", key="k", kind=kind))
    if ends:
        run.close()
    with pytest.raises(UserError) as caught:
        find_model(load_config(ExportJob, [f"storage.path={tmp_path}"]), "it")
    assert part in str(caught.value)


def test_looking_for_a_run_makes_no_store(tmp_path):
    """A mistyped storage folder stays as it is: not there."""
    with pytest.raises(UserError, match="no runs at"):
        find_model(load_config(ExportJob, [f"storage.path={tmp_path / 'runs'}"]), "2-2-8 6-3")
    assert not (tmp_path / "runs").exists()


def test_a_changed_download_is_refused(served_sweep, folder, find):
    """What MLflow keeps must be what the run says; nothing stays in the cache."""
    storage, document = served_sweep
    client = MlflowClient(tracking_uri=f"sqlite:///{storage / 'mlflow.db'}")
    [output] = client.get_run(document["students"][1]["run_id"]).outputs.model_outputs
    kept = Path(client.get_logged_model(output.model_id).artifact_location.removeprefix("file://")) / "data" / "packed"
    manifest = (kept / "manifest.json").read_text()
    shutil.rmtree(storage / "cache" / "models", ignore_errors=True)
    (kept / "manifest.json").write_text(manifest + " ")
    try:
        with pytest.raises(UserError, match="has changed"):
            find(document["students"][1]["run_id"])
        (kept / "manifest.json").unlink()
        with pytest.raises(UserError, match="has changed"):
            find(document["students"][1]["run_id"])
    finally:
        (kept / "manifest.json").write_text(manifest)
    assert not list((storage / "cache" / "models").iterdir())


def test_graphs_of_another_logged_model_are_refused(served_sweep, find):
    """Two models whose folders were swapped, each of them whole: neither answers for the other."""
    storage, document = served_sweep
    client = MlflowClient(tracking_uri=f"sqlite:///{storage / 'mlflow.db'}")
    runs, kept = [student["run_id"] for student in document["students"]], []
    for run in runs:
        [output] = client.get_run(run).outputs.model_outputs
        location = client.get_logged_model(output.model_id).artifact_location.removeprefix("file://")
        kept.append(Path(location) / "data" / "onnx")
    shutil.rmtree(storage / "cache" / "models", ignore_errors=True)
    swap(*kept)
    try:
        for run in runs:
            with pytest.raises(UserError, match=r"its graphs \(data/onnx\) are those of another student"):
                find(run)
        assert not list((storage / "cache" / "models").iterdir())
    finally:
        swap(*kept)


def test_graphs_that_were_swapped_in_the_cache_are_downloaded_again(served_sweep, find, caplog):
    """With a warning: somebody has been there."""
    _, document = served_sweep
    runs = [student["run_id"] for student in document["students"]]
    exported = [find(run).exported for run in runs]
    digests = [sha256_of(folder / "manifest.json") for folder in exported]
    swap(*exported)
    assert [sha256_of(find(run).exported / "manifest.json") for run in runs] == digests
    assert sum("the cache is of no use" in record.getMessage() for record in caplog.records) == 2


def swap(one, other):
    """Let two folders change places."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
