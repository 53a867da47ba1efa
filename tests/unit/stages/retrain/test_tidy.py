"""What old nights have made is removed; what a version, a newer night or another job refers to is not."""

import os
from pathlib import Path

import pytest

from pipeline.serving.logged_models import DIGEST, LoggedStudent
from pipeline.serving.registry import Candidate, register
from pipeline.stages.retrain.ledger import NIGHT, PROMOTION, Ledger, Line
from pipeline.stages.retrain.tidy import tidy
from pipeline.storage.layout import Storage
from pipeline.storage.lease import lease
from pipeline.tracking.tracker import RunSpec, Tracker

NAME = "retrained"


@pytest.fixture
def storage(tmp_path):
    return Storage(root=tmp_path)


@pytest.fixture
def made(storage, tracker):
    """`made(key, root, ...)`: a teacher, a sweep and a student in folders and runs, as a job leaves them."""

    def run(kind, key, root, tracker=tracker, **more):
        params = {"data": {"root": str(root)}, **more.pop("params", {})}
        with tracker.start(RunSpec(name=key, key=key, kind=kind, params=params, **more)) as started:
            return started.run_id

    def call(key, root, teacher=None, begun=None, registered=None, tracker=tracker, is_named=True):
        parts = Path(root).parts
        if is_named and "nights" in parts:  # the ledger names what was made of a night's files
            named = {"sweep": f"s{key}", "teacher": str(storage.teacher(f"t{key}") / "model")}
            call.named.append((parts[parts.index("nights") - 1], parts[parts.index("nights") + 1], named))
        params = {"model": {"pretrained": str(begun)}} if begun else {}
        if teacher is None:
            teacher = run("teacher", f"t{key}", root, tracker, params=params)
            fill(storage.teacher(f"t{key}") / "model" / "weights")
        tags = {"dq.teacher_run": teacher}
        sweep = run("sweep", f"s{key}", root, tracker, params=params, tags=tags)
        fill(storage.sweep(f"s{key}") / "checkpoints" / "x")
        student = run("student", f"u{key}", root, tracker, params=params, tags=tags, parent_run_id=sweep)
        model = tracker.client.create_logged_model(
            tracker.experiment_id, f"4-4-8-{key}", source_run_id=student, tags={DIGEST: f"{key}" * 20}
        )
        fill(copy_of(storage, key) / "packed" / "weights")
        if registered is not None:
            logged = LoggedStudent(run_id=student, model_id=model.model_id, location=model.artifact_location)
            told = Candidate(model=logged, examples="e", headline=1.0, size_bytes=1, tags={"student": key})
            register(tracker, registered, [told])
        if begun:
            fill(begun / "weights")
        return {"teacher": teacher, "sweep": sweep, "student": student}

    call.run, call.named = run, []
    return call


def copy_of(storage, key):
    return storage.cache / "models" / f"4-4-8-{key}-{(key * 20)[:16]}"


def fill(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 100)


def night_root(storage, key, name=NAME):
    fill(storage.root / "retrain" / name / "nights" / key / "data" / "train.jsonl")
    return storage.root / "retrain" / name / "nights" / key / "data"


def is_there(storage, key):
    """Of a night's teacher, sweep and downloaded student."""
    folders = (storage.teacher(f"t{key}"), storage.sweep(f"s{key}"), copy_of(storage, key))
    return tuple(folder.is_dir() for folder in folders)


GONE, ALL = (False, False, False), (True, True, True)


@pytest.fixture
def run_tidy(storage, tracker, made):
    """`run_tidy(keys of nights that are kept)` -> bytes; their lines are the newest of the ledger."""

    def call(*kept):
        folder = storage.root / "retrain" / NAME
        for path in (folder / "nights").iterdir():
            os.utime(path, (1, 9 if path.name in kept else 1))
        others = [(NAME, night, {"sweep": f"of {night}"}) for night in {*kept} - {one[1] for one in made.named}]
        for name, _, named in sorted([*made.named, *others], key=lambda one: one[1] in kept):
            Ledger(folder.parent / name).append(line_of(**named))
        made.named.clear()
        return tidy(storage, folder, Ledger(folder), tracker, max(1, len(kept)))

    return call


def line_of(**details):
    return Line(number=0, at="", event=NIGHT, decision="KEPT", details=details)


def test_what_old_nights_have_made_goes_and_nothing_else(storage, made, run_tidy, caplog):
    """Teacher, sweep, copies, data; counted in bytes. Newer nights, other names and other jobs keep theirs."""
    begun = storage.cache / "models" / "0123456789abcdef"
    made("a", night_root(storage, "1"), begun=begun)
    made("b", night_root(storage, "2"))
    made("c", night_root(storage, "3", name="retrained2"))
    made("d", "/data/mine")
    fill(storage.cache / "models" / "of another job" / "weights")
    assert run_tidy("2") == 500
    assert (is_there(storage, "a"), begun.exists()) == (GONE, False)
    assert [is_there(storage, key) for key in "bcd"] == [ALL] * 3
    assert (storage.cache / "models" / "of another job").is_dir()
    assert not (storage.root / "retrain" / NAME / "nights" / "1").exists()
    assert (storage.root / "retrain" / "retrained2" / "nights" / "3").exists()
    assert "500 bytes" in caplog.text and "teacher ta" in caplog.text
    assert run_tidy("2") == 0


def test_what_a_version_with_an_alias_is_made_of_stays(storage, made, run_tidy, tracker):
    """Of any registered model and any alias; once the alias moves it goes."""
    made("a", night_root(storage, "1"), registered="elsewhere")
    night_root(storage, "2")
    run_tidy("2")
    assert is_there(storage, "a") == ALL
    for alias in ("best", "smallest"):
        tracker.client.delete_registered_model_alias("elsewhere", alias)
    run_tidy("2")
    assert is_there(storage, "a") == GONE


def test_the_champion_s_teacher_stays_by_the_ledger_alone(storage, made, run_tidy):
    """Also that of the champion before, and of a promotion that was not carried out yet."""
    ledger, ids = Ledger(storage.root / "retrain" / NAME), {}
    for number, key in enumerate("abcd", 1):
        ids[key] = made(key, night_root(storage, str(number)))
        told = {"number": 0, "at": "", "decision": "PROMOTED", "version": str(number), "champion": str(number - 1)}
        teacher = str(storage.teacher(f"t{key}") / "model")
        night = ledger.append(
            Line(event=NIGHT, details={"teacher": teacher, "student_run": ids[key]["student"]}, **told)
        )
        if key != "d":
            ledger.append(Line(event=PROMOTION, details={"decided": night.number}, **told))
    night_root(storage, "9")
    run_tidy("9")
    assert [is_there(storage, key) for key in "abcd"] == [GONE, ALL, ALL, ALL]


def test_what_another_job_uses_stays(storage, made, run_tidy, tmp_path, tracker):
    """A teacher under its sweep, in any experiment; a student of a sweep of both; a model that it began with."""
    first = made("a", night_root(storage, "1"))
    other = Tracker(f"sqlite:///{tmp_path}/mlflow.db", "another experiment", tmp_path)
    made("e", "/data/mine", teacher=first["teacher"], tracker=other)
    second = made("b", night_root(storage, "2"))
    made.run("student", "u", "/data/mine", parent_run_id=second["sweep"])
    begun = storage.cache / "models" / "0123456789abcdef"
    made("c", night_root(storage, "3"), begun=begun)
    made("f", "/data/mine", begun=begun)
    night_root(storage, "9")
    run_tidy("9")
    assert is_there(storage, "a") == (True, False, False)
    assert is_there(storage, "b") == ALL
    assert is_there(storage, "c") == GONE and begun.is_dir()
    assert all(one.is_dir() for one in (storage.sweep("se"), storage.sweep("sf"), storage.teacher("tf")))


def test_a_teacher_that_another_job_had_made_is_not_a_night_s(storage, made, run_tidy):
    """Its run has read other files, whoever found it finished."""
    found = made("a", "/data/mine")
    made("b", night_root(storage, "1"), teacher=found["teacher"])
    night_root(storage, "9")
    run_tidy("9")
    assert is_there(storage, "a") == ALL and not storage.sweep("sb").exists()


def test_nothing_goes_on_which_somebody_works(storage, made, run_tidy, caplog):
    """Nor what such a sweep needs; the night after tries again."""
    made("a", night_root(storage, "1"))
    night_root(storage, "9")
    with lease(storage.sweep("sa"), "sweep sa"):
        run_tidy("9")
    assert (storage.root / "retrain" / NAME / "nights" / "1").is_dir()
    assert is_there(storage, "a") == ALL and "not tidied: sweep sa is being trained" in caplog.text
    run_tidy("9")
    assert is_there(storage, "a") == GONE


def test_what_the_ledger_does_not_name_stays(storage, made, run_tidy):
    """What a failed night has begun, and a sweep that a person has trained on a night's files: rather too much."""
    made.run("teacher", "ta", night_root(storage, "1"))
    fill(storage.teacher("ta") / "checkpoints" / "x")
    made("b", night_root(storage, "2"), is_named=False)
    night_root(storage, "9")
    run_tidy("9")
    assert storage.teacher("ta").is_dir() and is_there(storage, "b") == ALL


@pytest.mark.parametrize("name", [NAME, "retrained2"])
def test_what_a_newer_night_or_another_name_found_and_used_stays(storage, made, run_tidy, name):
    """Its run is that of the night which made it, and has that one's files for ever."""
    made("a", night_root(storage, "1"))
    folder = storage.root / "retrain"
    named = {"sweep": "sa", "teacher": str(storage.teacher("ta") / "model")}
    night_root(storage, "9")
    made.named.append((name, "9", named))
    (folder / name).mkdir(exist_ok=True)
    run_tidy("9")
    assert is_there(storage, "a") == ALL


def test_while_any_job_runs_nothing_goes(storage, made, run_tidy, tracker, caplog):
    """It may read a finished teacher, or the night's files, without a lease."""
    made("a", night_root(storage, "1"))
    night_root(storage, "9")
    with tracker.start(RunSpec(name="r", key="r", kind="search", params={})) as running:
        assert run_tidy("9") == 0
        assert is_there(storage, "a") == ALL and f"run {running.run_id} is running" in caplog.text
    run_tidy("9")
    assert is_there(storage, "a") == GONE


def test_a_folder_that_no_condition_can_name_keeps_everything(storage, tracker, made, tmp_path):
    """Rather too much than the wrong thing."""
    odd = Storage(root=tmp_path / "o'clock")
    root = night_root(odd, "1")
    made("a", root)
    night_root(odd, "9")
    folder = odd.root / "retrain" / NAME
    tidy(odd, folder, Ledger(folder), tracker, 1)
    assert Path(storage.teacher("ta")).is_dir()
