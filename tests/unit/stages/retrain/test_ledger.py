"""The ledger: what nights have written is all there, in order, unchanged, or nothing is decided on it."""

import json

import pytest

from pipeline.config.errors import UserError
from pipeline.stages.retrain.ledger import DECIDED, FILE, NIGHT, PROMOTION, ROLLBACK, Ledger, Line


def line(event=NIGHT, decision="KEPT", **content):
    return Line(number=0, at="", event=event, decision=decision, **content)


@pytest.fixture
def ledger(tmp_path):
    """A first champion, a kept one, one whose promotion failed, a failed night."""
    ledger = Ledger(tmp_path)
    first = ledger.append(line(decision="PROMOTED", data="a", frozen="f", version="1", details={"teacher": "t1"}))
    ledger.append(line(PROMOTION, "PROMOTED", version="1", details={DECIDED: first.number, "compared": True}))
    ledger.append(line(data="b", frozen="f", champion="1", version="2", details={"compared": True, "score": 1.5}))
    third = ledger.append(line(decision="PROMOTED", data="c", champion="1", version="3", details={"compared": True}))
    ledger.append(line(PROMOTION, "FAILED", version="3", details={DECIDED: third.number}))
    ledger.append(line(decision="FAILED", reasons=["ü: no disk"]))
    return ledger


def test_what_is_read_is_what_was_written(ledger, tmp_path):
    """By another process, and by one that goes on writing."""
    again = Ledger(tmp_path)
    assert again.lines == ledger.lines and [one.number for one in again.lines] == [1, 2, 3, 4, 5, 6]
    again.append(line())
    assert len(Ledger(tmp_path).lines) == 7


def test_the_ledger_knows_its_champion(ledger):
    """A promotion that failed made none; a rollback that was carried out made another."""
    assert (ledger.crowned.version, ledger.unfinished) == ("1", None)
    assert ledger.night_of("1").details == {"teacher": "t1"}
    assert ledger.night_of("9") is None is ledger.night_of(None)
    assert ledger.num_frozen_uses("f") == 1 and ledger.num_frozen_uses("g") == 0
    back = ledger.append(line(ROLLBACK, "PROMOTED", version="2", champion="1"))
    assert (ledger.crowned.version, ledger.unfinished) == ("1", back)
    ledger.append(line(PROMOTION, "PROMOTED", version="2", details={DECIDED: back.number}))
    assert (ledger.crowned.version, ledger.unfinished) == ("2", None)


@pytest.mark.parametrize(
    ("data", "settings", "champion", "number"),
    [
        ("b", "", "1", 3),  # what was kept is kept
        ("a", "", None, 1),
        ("a", "", "1", 1),  # the champion that it has made
        ("a", "", "2", None),  # another champion, other evidence
        ("b", "other", "1", None),
        ("c", "", "1", None),  # its promotion failed
        ("", "", None, None),  # it failed
    ],
)
def test_a_night_is_settled_for_its_data_settings_and_champion(ledger, data, settings, champion, number):
    """However many nights came since."""
    found = ledger.settled(data, settings, champion)
    assert (None if found is None else found.number) == number


def test_a_decision_that_was_interrupted_is_found(ledger):
    """It stays so until somebody has said what became of it, or a person has decided otherwise."""
    night = ledger.append(line(decision="PROMOTED", version="4"))
    assert ledger.unfinished == night
    ledger.append(line(decision="NO_CHANGE"))
    assert ledger.unfinished == night
    back = ledger.append(line(ROLLBACK, "PROMOTED", version="1", champion="4"))
    ledger.append(line(PROMOTION, "PROMOTED", version="1", details={DECIDED: back.number}))
    assert ledger.unfinished is None and ledger.crowned.version == "1"


def test_who_has_lost_the_lease_writes_nothing(ledger, tmp_path):
    """Over another's lines, or behind them with a number that is taken."""
    Ledger(tmp_path).append(line(decision="NO_CHANGE"))
    with pytest.raises(UserError, match="another process has written it meanwhile"):
        ledger.append(line())
    assert len(Ledger(tmp_path).lines) == 7


def test_any_text_is_one_line_and_no_secret_is_in_it(tmp_path, monkeypatch):
    """Line ends of all scripts in sources and reasons; logins of addresses."""
    monkeypatch.setenv("HF_TOKEN", "hf_w0rd-w0rd")
    ledger = Ledger(tmp_path)
    text = "a\u2028b\u2029c\x85d\ne\x1cf"
    written = ledger.append(
        line(reasons=[f"{text} https://u:p@h hf_w0rd-w0rd"], details={"golden": [{"source": text}]})
    )
    assert Ledger(tmp_path).lines == [written] and written.details["golden"][0]["source"] == text
    assert "w0rd" not in (tmp_path / FILE).read_text() and "u:p" not in (tmp_path / FILE).read_text()


def change_value(lines):
    content = json.loads(lines[2])
    content["details"]["score"] = 99.5
    lines[2] = json.dumps(content)


CHANGES = {
    "another value": change_value,
    "a line less": lambda lines: lines.pop(1),
    "the first less": lambda lines: lines.pop(0),
    "another order": lambda lines: lines.reverse(),
    "a line twice": lambda lines: lines.insert(2, lines[1]),
    "half a line": lambda lines: lines.append(lines[-1][:20]),
    "no object": lambda lines: lines.append("[]"),
    "another entry": lambda lines: lines.append(json.dumps({**json.loads(lines[-1]), "more": 1})),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_ledger_that_was_changed_is_refused(ledger, tmp_path, name):
    """By the number of the line; the file stays as it is."""
    lines = (tmp_path / FILE).read_text().splitlines()
    CHANGES[name](lines)
    (tmp_path / FILE).write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"line \d+ of .*ledger\.jsonl"):
        Ledger(tmp_path)
    assert (tmp_path / FILE).read_text().splitlines() == lines


def test_numbers_that_are_none_are_written_as_nothing(tmp_path):
    """JSON has none, and who reads a ledger with another program must be able to."""
    ledger = Ledger(tmp_path)
    ledger.append(line(details={"score": float("nan"), "gates": [{"measured": float("inf")}]}))
    assert "NaN" not in (tmp_path / FILE).read_text() and "Infinity" not in (tmp_path / FILE).read_text()
    assert Ledger(tmp_path).lines[0].details == {"score": None, "gates": [{"measured": None}]}
