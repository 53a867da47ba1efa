"""The report of a night: what is new beside what was accepted, and the champion on the newest data."""

from types import SimpleNamespace

import pytest

from pipeline.config.errors import UserError
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.load import load_config
from pipeline.retraining.check_result import CheckResult
from pipeline.retraining.decisions import Decision
from pipeline.stages.retrain import drift
from pipeline.stages.retrain.check import Checked
from pipeline.stages.retrain.data import Accepted, NightData
from pipeline.stages.retrain.drift import Quality, champion_quality, drift_tonight, with_drift
from pipeline.stages.retrain.judge import CHAMPION, Answers
from pipeline.stages.retrain.outcome import Outcome
from pipeline.training.stop_request import Stopped


def rows(*numbers):
    return [{"source": f"text number {number}", "target": f"title {number}"} for number in numbers]


NEW, NEWEST = rows(3, 4), rows(5, 6)


def night(new=NEW, newest=NEWEST):
    told = {"fingerprint": "f", "frozen_digest": "d", "leaking": [], "validation": rows(9), "has_labels": False}
    return NightData(train=[*rows(1, 2), *new], new=new, newest=newest, frozen=rows(7, 8), **told)


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """`ask(answers or error, champion, data)` -> (quality, what the champion was asked)."""

    def call(said, champion="3", data=None):
        asked = []

        def answers(work, _):
            asked.append(work)
            if isinstance(said, BaseException):
                raise said
            return {CHAMPION: Answers(said=said, exported=None, milliseconds=[])}

        monkeypatch.setattr(drift.judge, "run", answers)
        monkeypatch.setattr(drift, "champion_model", lambda *_: SimpleNamespace(package=tmp_path))
        config = load_config(RetrainJob, ["task=docstrings", "cluster=process", "task.metric=rouge"])
        return champion_quality(config, champion, data or night(), tmp_path, tmp_path), asked

    return call


def test_the_champion_answers_the_newest_examples_and_no_frozen_one(ask):
    """Nobody is timed, no graphs are asked: a refused night spends nothing."""
    quality, asked = ask(["title 5", "otherwise"])
    assert quality == Quality(score=50.0)
    assert asked[0].examples == rows(5, 6) and (asked[0].num_timed, asked[0].num_exported) == (0, 0)
    assert [one.name for one in asked[0].contenders] == [CHAMPION]


@pytest.mark.parametrize(
    ("said", "champion", "data", "why"),
    [
        (["a", "b"], None, night(), "no champion yet"),
        ([], "3", night(newest=[]), "nothing was held out"),
        (UserError("a package", "a whole one", "x"), "3", night(), "UserError: a package"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), "3", night(), "UnicodeEncodeError"),
        (RuntimeError("worker 1 failed: https://u:pass-w0rd@h"), "3", night(), "https://***@h"),
    ],
)
def test_what_cannot_be_had_is_said_and_ends_no_night(ask, said, champion, data, why):
    """In a sentence without secrets."""
    quality, _ = ask(said, champion, data)
    assert quality.score is None and why in quality.missing and "w0rd" not in quality.missing


def test_a_request_to_stop_is_no_missing_number(ask):
    """The night ends, and is submitted again."""
    with pytest.raises(Stopped):
        ask(Stopped())


def test_the_report_is_in_table_metrics_and_line():
    """Beside what the outcome had; of an outcome without details, too."""
    report = drift_tonight(night(), Accepted(rows=rows(1, 2), newest=rows(10)))
    refused = Outcome(decision=Decision.REFUSED, reasons=["no"], tables={"Data checks": [["a"]]})
    found = with_drift(refused, report, Quality(score=40.0), 50.0)
    assert set(found.tables) == {"Data checks", "Drift"} and refused.details == {}
    assert found.tables["Drift"][-1] == ["quality of the champion", "50", "40", "-10"]
    assert found.details["champion_newest"] == found.details["drift"]["champion_quality"] == 40.0
    assert found.details["drift"]["examples"] == 2 and "drift_missing" not in found.details
    missing = with_drift(refused, report, Quality(missing="nobody knows"), 50.0)
    assert "nobody knows" in missing.tables["Drift"][-1][0] and "nobody knows" in missing.details["drift_missing"]
    assert missing.details["champion_newest"] is None and "champion_quality" not in missing.details["drift"]


def test_where_nothing_is_new_all_of_tonight_is_compared_and_the_first_night_stands_alone():
    """Each with a table."""
    assert drift_tonight(night(new=[]), Accepted(rows=rows(1), newest=[])).metrics()["examples"] == 2
    first = drift_tonight(night(), None)
    assert all(one.reference is None for one in first.numbers)


@pytest.mark.parametrize(
    ("name", "are_texts"),
    [
        ("types", False),
        ("new examples, types", False),
        ("NUL bytes of sources", False),
        ("new examples, NUL bytes of targets", False),
        ("new examples, alignment: moved lines", True),
        ("volume", True),
    ],
)
def test_nobody_is_asked_about_what_is_no_text(name, are_texts):
    """Other refusals leave texts that can be answered."""
    refused = CheckResult(name=name, passed=False, measured=1, allowed=0, sentence="")
    assert Checked(results=[refused]).are_texts is are_texts
    assert Checked(results=[CheckResult(name=name, passed=True, measured=0, allowed=0, sentence="")]).are_texts
