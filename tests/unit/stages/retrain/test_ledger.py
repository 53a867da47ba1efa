"""The ledger: what nights have written is all there, in order, unchanged, or nothing is decided on it."""

import json

import pytest

from pipeline.config.errors import UserError
from pipeline.stages.retrain.ledger import FILE, NIGHT, PROMOTION, ROLLBACK, Ledger, Line


def line(event=NIGHT, decision="KEPT", **content):
    return Line(number=0, at="", event=event, decision=decision, **content)


@pytest.fixture
def ledger(tmp_path):
    """A first champion, a kept one, one whose promotion failed, a failed night."""
    ledger = Ledger(tmp_path)
    first = ledger.append(line(decision="PROMOTED", data="a", frozen="f", version="1", details={"teacher": "t1"}))
    ledger.append(line(PROMOTION, "PROMOTED", version="1", details={"night": first.number}))
    ledger.append(line(data="b", frozen="f", champion="1", version="2", details={"compared": True, "score": 1.5}))
    third = ledger.append(line(decision="PROMOTED", data="c", champion="1", version="3", details={"compared": True}))
    ledger.append(line(PROMOTION, "FAILED", version="3", details={"night": third.number}))
    ledger.append(line(decision="FAILED", reasons=["ü: no disk"]))
    return ledger


def test_what_is_read_is_what_was_written(ledger, tmp_path):
    """By another process, and by one that goes on writing."""
    again = Ledger(tmp_path)
    assert again.lines == ledger.lines and [one.number for one in again.lines] == [1, 2, 3, 4, 5, 6]
    again.append(line())
    assert len(Ledger(tmp_path).lines) == 7


def test_the_ledger_knows_its_champion_and_what_is_settled(ledger):
    """A promotion that failed made none; a night that failed settles nothing."""
    assert (ledger.crowned.version, ledger.settled.data, ledger.unfinished) == ("1", "c", None)
    assert ledger.night_of("1").details == {"teacher": "t1"} and ledger.night_of("9") is None
    assert ledger.num_frozen_uses("f") == 1 and ledger.num_frozen_uses("g") == 0
    ledger.append(line(ROLLBACK, "PROMOTED", version="2"))
    assert ledger.crowned.version == "2"


def test_a_promotion_that_was_interrupted_is_found(ledger):
    """It stays so until somebody has said what became of it."""
    night = ledger.append(line(decision="PROMOTED", version="4"))
    assert ledger.unfinished == night
    ledger.append(line(PROMOTION, "PROMOTED", version="4", details={"night": night.number}))
    assert ledger.unfinished is None and ledger.crowned.version == "4"


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
