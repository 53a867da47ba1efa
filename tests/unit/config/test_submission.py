"""Processes of one submission know its name; another has another."""

import subprocess
import sys

from repository import ROOT

from pipeline.config.submission import VARIABLE, submission, submission_environment

TELL = "from pipeline.config.submission import submission; print(submission())"


def told():
    """The name in a process that this one starts."""
    return subprocess.run(
        [sys.executable, "-c", TELL], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.strip()


def test_a_submission_is_named_once(monkeypatch):
    """Here, in processes that are started here, and in those that are given it."""
    monkeypatch.setenv(VARIABLE, "a name")
    monkeypatch.delenv(VARIABLE)  # so that what is set below goes again
    first, second = told(), told()
    name = submission()
    assert len({first, second, name}) == 3
    assert submission() == told() == submission_environment()[VARIABLE] == name
