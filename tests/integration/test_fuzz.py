"""A short fuzz of everything that is read: what is damaged or odd is refused in a paragraph, or changes nothing."""

import json
import subprocess
import sys

import pytest
from fuzz.case import FAULTS, OUTCOMES, rng_of
from fuzz.command import SUBJECTS
from fuzz.subjects.itself import DOES, SUBJECT
from repository import ROOT

NUM_CASES = 420
CASE_SECONDS = 15


def fuzzed(folder, *words):
    """(exit code, what was printed, counts and cases) of the command."""
    out = folder / "out.json"
    command = [sys.executable, str(ROOT / "tests" / "fuzz"), "--out", str(out), "--all", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr, json.loads(out.read_text()) if out.exists() else None


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    """A few cases of every subject."""
    words = ("--cases", str(NUM_CASES), "--seconds", str(CASE_SECONDS))
    return fuzzed(tmp_path_factory.mktemp("fuzz"), *words)


@pytest.mark.parametrize("name", SUBJECTS)
def test_what_is_odd_is_refused_in_a_paragraph_or_changes_nothing(short_run, name):
    """No traceback, no hang, no blow-up, no other answer."""
    _, printed, document = short_run
    assert document is not None, printed
    counts = document["counts"][name]
    assert sum(counts.values()) == NUM_CASES / len(SUBJECTS)
    assert len(counts) > 1 and counts.get("same", 0) + counts.get("accepted", 0) > 0
    faults = [case for case in document["cases"] if case["subject"] == name and case["outcome"] in FAULTS]
    assert not faults, "\n".join(f"case {case['number']}: {case['change']}: {case['kind']}" for case in faults)


@pytest.mark.parametrize("name", ["packages", "exports"])
def test_checksums_that_were_made_again_fit(short_run, name):
    """Else a change would be refused for them, and what they guard would not be read."""
    _, _, document = short_run
    remade = [case for case in document["cases"] if case["subject"] == name and case["change"].endswith("made again")]
    assert len(remade) > NUM_CASES / len(SUBJECTS) / 4
    assert {"same", "unseen"} & {case["outcome"] for case in remade}
    assert not all("has changed" in case["detail"] for case in remade if case["outcome"] == "refused")


def test_whatever_happens_in_a_case_is_seen_and_costs_one_case(tmp_path):
    """An exception, another answer, a loop, a wait, a dead process, a want of memory or disk."""
    code, printed, document = fuzzed(tmp_path, "--subject", "itself", "--cases", "40", "--seconds", "0.25")
    assert code == 1
    assert {case["change"] for case in document["cases"]} == set(DOES)
    assert {case["outcome"] for case in document["cases"]} == set(OUTCOMES)
    for case in document["cases"]:
        assert case["outcome"] == DOES[case["change"]], case
    assert "ZeroDivisionError in itself.py" in printed and "SIGABRT" in printed and "blow-up (disk)" in printed


def test_a_case_can_be_seen_again_alone(tmp_path):
    """By its number, with what was printed of it."""
    number = next(n for n in range(99) if SUBJECT.case(None, rng_of("itself", 5, n), tmp_path).change == "raises")
    code, printed, _ = fuzzed(tmp_path, "--subject", "itself", "--seed", "5", "--case", str(number))
    assert code == 1 and "raises\ntraceback ZeroDivisionError" in printed and 'ZeroDivisionError("as asked")' in printed
