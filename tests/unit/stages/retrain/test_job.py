"""What becomes of a decision: aliases, lines, exit codes; what breaks off, the next night carries out or tells."""

import os
from dataclasses import replace

import pytest

from pipeline.config.errors import UserError
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.load import load_config
from pipeline.retraining.decisions import Decision
from pipeline.serving.logged_models import LoggedStudent
from pipeline.serving.promotion import Aliases, aliases_of
from pipeline.serving.registry import Candidate, register
from pipeline.stages.retrain import job as retrain_job
from pipeline.stages.retrain import promote as promote_module
from pipeline.stages.retrain.ledger import FILE, Ledger
from pipeline.stages.retrain.outcome import Outcome
from pipeline.storage.lease import HeldElsewhereError, lease
from pipeline.tracking.tracker import RunSpec, Tracker

NAME = "retrained"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "retrain" / NAME


@pytest.fixture
def tracker(tracker):
    """With three versions of the registered model."""
    for name in ("a", "b", "c"):
        with tracker.start(RunSpec(name=name, key=name, kind="student")) as run:
            pass
        model = tracker.client.create_logged_model(tracker.experiment_id, "student", source_run_id=run.run_id)
        logged = LoggedStudent(run_id=run.run_id, model_id=model.model_id, location=model.artifact_location)
        student = Candidate(model=logged, examples="e", headline=1.0, size_bytes=1, tags={"student": name})
        register(tracker, NAME, [student])
    return tracker


@pytest.fixture
def night(tracker, tmp_path, monkeypatch):
    """A night that decides what it is told: `night(Outcome or error, *settings)` -> document."""
    monkeypatch.setattr(promote_module, "champion_model", lambda *_: None)
    monkeypatch.setattr(retrain_job, "write_page", lambda _, folder, *__: folder / "page.html")
    monkeypatch.setattr(retrain_job, "_recorded", lambda *_: "run")

    def call(outcome, *settings):
        def work_through(night):
            night.note(champion=aliases_of(night.tracker, NAME).champion, data="d")
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr(retrain_job, "work_through", work_through)
        words = ["cluster=process", "tracking.experiment=test", f"storage.path={tmp_path}", *settings]
        return retrain_job.run(load_config(RetrainJob, words))

    return call


def promoted(version, champion=None, **details):
    told = {"decision": Decision.PROMOTED, "reasons": ["better"], "data": version}
    return Outcome(**told, champion=champion, version=version, details=details)


def lines(folder):
    return [(line.event, line.decision) for line in Ledger(folder).lines]


def test_a_decision_is_written_down_before_an_alias_moves(night, folder, tracker, monkeypatch):
    """Where the night ends between both, the next one carries it out, whatever else it finds."""
    moved = []

    def break_off(*_):
        moved.append(lines(folder))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(promote_module, "point", break_off)
        with pytest.raises(KeyboardInterrupt):
            night(promoted("1"))
    assert moved == [[("night", "PROMOTED")]] and aliases_of(tracker, NAME) == Aliases()
    document = night(Outcome(decision=Decision.NO_CHANGE, reasons=["nothing new"]))
    assert lines(folder) == [("night", "PROMOTED"), ("promotion", "PROMOTED"), ("night", "NO_CHANGE")]
    assert (document["champion"], document["exit_code"], aliases_of(tracker, NAME).champion) == ("1", 0, "1")


def unreadable(*_):
    raise UserError("half a package", "a whole one", "export it again")


def broken(*_):
    raise ValueError("odd")


FAILURES = {
    "the server ended": {"probe": lambda *_: "the server ended with code 1"},
    "half a package": {"champion_model": unreadable},
    "ValueError: odd": {"champion_model": broken},
    "the registry says champion=None": {"point": lambda *_: Aliases()},
}


def test_a_version_that_was_deleted_meanwhile_is_no_champion(night, folder, tracker):
    """The night after does not try for ever."""
    night(promoted("1"))
    document = night(promoted("9", "1"))
    assert document["exit_code"] == 13 and "no version 9" in document["reasons"][0]
    assert aliases_of(tracker, NAME).champion == "1" and Ledger(folder).unfinished is None


def test_a_champion_that_was_deleted_stops_no_successor(night, tracker, caplog):
    """There is no way back to it, and that is said."""
    night(promoted("1"))
    tracker.client.delete_model_version(NAME, "1")
    assert night(promoted("2", "1"))["champion"] == "2"
    assert aliases_of(tracker, NAME) == Aliases(champion="2") and "no way back to version 1" in caplog.text


@pytest.mark.parametrize("said", FAILURES)
def test_a_version_that_cannot_be_used_is_put_back(night, folder, tracker, monkeypatch, said):
    """The champion before is the champion again, and the one before that stands before it."""
    night(promoted("1"))
    night(promoted("2", "1"))
    for name, replacement in FAILURES[said].items():
        original = getattr(promote_module, name)
        calls = []

        def once(*arguments, replacement=replacement, original=original, calls=calls):
            calls.append(1)
            return replacement(*arguments) if len(calls) == 1 else original(*arguments)

        monkeypatch.setattr(promote_module, name, once)
    if "probe" in FAILURES[said]:
        monkeypatch.setattr(promote_module, "golden_of", lambda *_: None)
        monkeypatch.setattr(promote_module, "_answerer", lambda *_: None)
    document = night(promoted("3", "2", golden=[{"source": "a"}]))
    assert (document["decision"], document["exit_code"]) == ("FAILED", 13) and said in document["reasons"][0]
    assert aliases_of(tracker, NAME) == Aliases(champion="2", previous="1")
    assert lines(folder)[-2:] == [("night", "PROMOTED"), ("promotion", "FAILED")] and document["champion"] == "2"


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (UserError("student.learning_rate=9", "less", "lower it"), 13, "student.learning_rate=9"),
        (RuntimeError("a worker was killed"), 75, "RuntimeError: a worker was killed"),
        (KeyError("a fault of ours"), 13, "KeyError: 'a fault of ours'"),
        (HeldElsewhereError("sweep x is being trained", "one", "wait"), 75, "sweep x is being trained"),
        (ConnectionError("https://u:pass-w0rd@h"), 75, "https://***@h"),
        (OSError(28, "No space left on device", "/x"), 75, "the disk is full (/x)"),
    ],
)
def test_a_night_that_breaks_off_says_why_and_whether_to_try_again(night, folder, tracker, error, exit_code, said):
    """Nobody is promoted; the line knows what was known; secrets are in none."""
    night(promoted("1"))
    document = night(error)
    line = Ledger(folder).lines[-1]
    assert (document["decision"], document["exit_code"], document["status"]) == ("FAILED", exit_code, "failed")
    assert said in line.reasons[0] and (line.champion, line.data) == ("1", "d")
    assert aliases_of(tracker, NAME) == Aliases(champion="1") and "pass-w0rd" not in (folder / FILE).read_text()


def test_a_store_that_goes_away_before_the_end_loses_no_decision(night, folder, tracker, monkeypatch):
    """The next night carries out what the ledger says."""

    def away(*_):
        raise ConnectionError("nobody answers")

    with monkeypatch.context() as patched:
        patched.setattr(retrain_job, "promote", away)
        document = night(promoted("1"))
    assert (document["decision"], document["exit_code"]) == ("FAILED", 75) and "nobody answers" in document["reasons"][
        0
    ]
    assert night(Outcome(decision=Decision.NO_CHANGE, reasons=["nothing new"]))["champion"] == "1"
    assert lines(folder) == [("night", "PROMOTED"), ("promotion", "PROMOTED"), ("night", "NO_CHANGE")]


def test_a_champion_that_is_old_is_an_alarm_on_every_night(night, monkeypatch):
    """Also on those that train nothing; it promotes nobody."""
    nothing = Outcome(decision=Decision.NO_CHANGE, reasons=["nothing new"])
    assert night(promoted("1"))["alarms"] == [] == night(nothing)["alarms"]
    monkeypatch.setattr(retrain_job, "days_since", lambda _: 30.5)
    document = night(nothing)
    assert document["alarms"] == ["No promotion for 30.5 days; gates.staleness_days is 30."]
    assert document["alerts"] and document["exit_code"] == 0


def test_old_nights_leave_nothing_but_what_is_still_needed(night, folder):
    """The newest folders, the accepted examples of the last night that trained."""
    for number in range(6):
        (folder / "nights" / str(number)).mkdir(parents=True)
        (folder / "accepted").mkdir(exist_ok=True)
        (folder / "accepted" / f"{number}.json").write_text("{}")
        os.utime(folder / "nights" / str(number), (number, number))
    night(replace(promoted("1"), data="4"), "retrain.keep_nights=3")
    (folder / "accepted" / "5.json").write_text("{}")
    night(
        Outcome(decision=Decision.FAILED, reasons=["no"], data="5"), "retrain.keep_nights=3"
    )  # it will be submitted again
    assert sorted(path.name for path in (folder / "nights").iterdir()) == ["3", "4", "5"]
    assert sorted(path.name for path in (folder / "accepted").iterdir()) == ["4.json", "5.json"]


def test_what_cannot_be_tidied_changes_no_decision(night, folder, monkeypatch, caplog):
    """It is said, and tried again the night after."""
    monkeypatch.setattr(retrain_job, "tidy", broken)
    assert night(promoted("1"))["exit_code"] == 0 and "were not tidied: ValueError: odd" in caplog.text


def test_another_scheduler_leaves_a_night_to_who_has_it(night, folder):
    """Nothing is decided twice, nothing fails, nothing is written."""
    with lease(folder, "retraining"):
        document = night(promoted("1"))
        back = night(None, "retrain.rollback=true")
    assert (document["decision"], document["exit_code"]) == ("NO_CHANGE", 0) and not (folder / FILE).exists()
    assert (back["decision"], back["exit_code"], back["status"]) == ("FAILED", 75, "failed")  # nobody else does that


def test_the_way_back(night, folder, tracker):
    """To the one before, to any other, and nowhere else; each time with two lines."""
    with pytest.raises(UserError, match="has no champion"):
        night(None, "retrain.rollback=true")
    night(promoted("1"))
    with pytest.raises(UserError, match="no version before 1"):
        night(None, "retrain.rollback=true")
    night(promoted("2", "1"))
    assert night(None, "retrain.rollback=true")["champion"] == "1"
    assert aliases_of(tracker, NAME) == Aliases(champion="1", previous="2")
    with pytest.raises(UserError, match="a rollback after a rollback"):  # a scheduler that tries again
        night(None, "retrain.rollback=true")
    assert night(None, "retrain.rollback=true", "retrain.to=3")["champion"] == "3"
    for words, said in ((["retrain.to=7"], "no version 7"), (["retrain.to=3"], "is the champion already")):
        with pytest.raises(UserError, match=said):
            night(None, "retrain.rollback=true", *words)
    assert lines(folder)[-4:] == [("rollback", "PROMOTED"), ("promotion", "PROMOTED")] * 2


def test_a_rollback_that_broke_off_is_carried_out_and_no_older_promotion(night, folder, tracker, monkeypatch):
    """What a person has decided last counts."""
    night(promoted("1"))
    night(promoted("2", "1"))

    def break_off(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(promote_module, "point", break_off)
        with pytest.raises(KeyboardInterrupt):
            night(promoted("3", "2"))
        with pytest.raises(KeyboardInterrupt):
            night(None, "retrain.rollback=true")
    night(Outcome(decision=Decision.NO_CHANGE, reasons=["nothing new"]))
    assert aliases_of(tracker, NAME) == Aliases(champion="1", previous="2")


def test_a_full_disk_promotes_nobody(night, folder, tracker, monkeypatch):
    """What is not written down is not done."""

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "append", full)
        document = night(promoted("1"))
    assert (document["decision"], document["exit_code"], document["line"]) == ("FAILED", 75, None)
    assert aliases_of(tracker, NAME) == Aliases() and not (folder / FILE).exists()


def test_a_promotion_that_fails_when_it_is_carried_out_later_is_told(night, folder, tracker, monkeypatch):
    """And not hidden behind a night without news."""
    with monkeypatch.context() as patched:
        patched.setattr(retrain_job, "promote", broken)
        night(promoted("9"))
    document = night(Outcome(decision=Decision.NO_CHANGE, reasons=["nothing new"]))
    assert (document["decision"], document["exit_code"]) == ("FAILED", 13) and "no version 9" in document["reasons"][0]
    assert night(Outcome(decision=Decision.NO_CHANGE, reasons=["nothing new"]))["decision"] == "NO_CHANGE"


def test_nobody_works_on_a_ledger_that_was_changed(night, folder):
    """A person has to look."""
    night(promoted("1"))
    (folder / FILE).write_text((folder / FILE).read_text().replace("better", "worse"))
    with pytest.raises(UserError, match=r"line 1 of .*ledger\.jsonl"):
        night(promoted("2", "1"))


def test_a_store_that_is_away_is_a_night_to_try_again(night, folder, monkeypatch):
    """The ledger lies in storage, and says so."""
    document = night(promoted("1"), "tracking.uri=http://127.0.0.1:9")
    assert (document["decision"], document["exit_code"]) == ("FAILED", 75)
    assert lines(folder) == [("night", "FAILED")]


def test_the_tracker_of_the_tests_is_that_of_the_job(tracker, tmp_path):
    """Else the tests above would show nothing."""
    assert Tracker(f"sqlite:///{tmp_path}/mlflow.db", "test", tmp_path).experiment_id == tracker.experiment_id
