"""A short chaos: real jobs, each disturbed at one moment; `make chaos` tries all kinds at several moments."""

import json
from types import SimpleNamespace

import pytest
from chaos.command import happened, main, tried
from chaos.fault import ABSENT, BROKEN, REFUSED, SAME, Fault, check
from chaos.faults import KINDS
from chaos.process import Answer
from chaos.scene import Scene, results

SHORT = [kind for kind in KINDS if kind.short is not None]


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """The short set, by kind."""
    return {case.fault: case for case in tried(SHORT, tmp_path_factory.mktemp("chaos"), short=True)}


@pytest.mark.parametrize("name", [kind.name for kind in SHORT])
def test_what_was_disturbed_ends_as_if_nothing_had_been(cases, name):
    """The models byte by byte, scores, runs and their states, and nothing half written under a final name."""
    case = cases[name]
    assert case.outcome in (SAME, REFUSED), case.detail


def test_there_are_many_kinds_and_each_has_moments_or_seeds():
    """At least two of each but for those that can happen at one moment alone."""
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 24
    assert sum(len(kind.moments) >= 2 for kind in KINDS) >= 24
    assert all(kind.short is None or kind.short in kind.moments for kind in KINDS)


def inject(outcome):
    def of(scene, moment):
        check(outcome != BROKEN, "a promise", "what was seen")
        if outcome != SAME:
            raise KeyError(outcome)  # a slip of the scenario's own
        return outcome

    return Fault(name=outcome, how="by hand", moments=("one",), inject=of)


@pytest.mark.parametrize(("outcome", "expected"), [(SAME, SAME), (BROKEN, BROKEN), ("a slip", BROKEN)])
def test_a_broken_promise_and_a_broken_scenario_are_told(tmp_path, outcome, expected):
    """Neither passes for a case that went well."""
    case = happened(inject(outcome), "one", Scene(tmp_path / "scene", SimpleNamespace()))
    assert case.outcome == expected and bool(case.detail) == (expected == BROKEN)


@pytest.mark.parametrize("other", ["models", "scores", "runs", "halves"])
def test_another_result_is_seen(tmp_path, monkeypatch, other):
    """Whichever part of it is another one."""
    answer = Answer(code=0, document={}, said="", num_held=0)
    scene = Scene(tmp_path / "scene", SimpleNamespace())
    monkeypatch.setattr("chaos.scene.runs", lambda _: [["student", "FINISHED"]])
    scene.storage.mkdir()
    found = results(scene.storage, {})
    scene.references.of = lambda *_: json.loads(json.dumps(found))
    scene.is_whole(answer)
    scene.references.of = lambda *_: {**found, other: "something else"}
    with pytest.raises(Exception, match=f"another result: {other}"):
        scene.is_whole(answer)


def test_what_cannot_be_tried_here_fails_nothing(monkeypatch, capsys):
    """It stands in the table, with its reason; a broken one ends the command with 1."""
    monkeypatch.setattr("chaos.command.KINDS", [inject(SAME), inject(BROKEN)])
    assert main(["--fault", SAME, "--processes", "1"]) == 0
    assert main(["--processes", "1"]) == 1
    printed = capsys.readouterr().out
    assert f"{BROKEN}: {BROKEN}, one: a promise: what was seen" in printed and ABSENT in printed
