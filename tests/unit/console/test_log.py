"""What modules log: lines for people in the processes of a job, nothing at all in anybody else's program."""

import logging
import os
import subprocess
import sys

import pytest
from repository import ROOT

from pipeline.cluster.ray_train import _call_logged
from pipeline.config import login
from pipeline.config.errors import UserError
from pipeline.config.jobs.compare import CompareJob
from pipeline.config.login import hand_over, take_login, with_login
from pipeline.console.log import LOG_LEVEL, log_environment, log_to_stderr, mask_messages
from pipeline.console.progress import ProgressBar
from pipeline.stages.command import main

log = logging.getLogger("pipeline.stages.somewhere")


def speak():
    log.debug("a detail")
    log.info("a table\nof two lines, 100 %")
    log.warning("a doubt")
    log.error("a loss")


def test_a_message_is_a_line_and_a_warning_says_so(capsys):
    """The level INFO, where nothing is set: details are left out, worse messages begin with their level."""
    log_to_stderr()
    speak()
    out, err = capsys.readouterr()
    assert (out, err) == ("", "a table\nof two lines, 100 %\nwarning: a doubt\nerror: a loss\n")


@pytest.mark.parametrize(("level", "num_lines"), [("WARNING", 2), ("warning", 2), ("ERROR", 1), ("INFO", 4), ("", 4)])
def test_the_environment_decides_what_is_said(capsys, monkeypatch, level, num_lines):
    """Upwards from a level, however it is spelled; asking again changes it and repeats nothing."""
    monkeypatch.setenv(LOG_LEVEL, "DEBUG")
    log_to_stderr()
    monkeypatch.setenv(LOG_LEVEL, level)
    log_to_stderr()
    speak()
    assert len(capsys.readouterr().err.splitlines()) == num_lines


def test_details_come_with_time_and_module(capsys, monkeypatch):
    """At the level DEBUG, for all messages."""
    monkeypatch.setenv(LOG_LEVEL, "DEBUG")
    log_to_stderr()
    speak()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[0][4] == "-" and lines[0].endswith(" DEBUG pipeline.stages.somewhere: a detail")
    assert lines[3].endswith(" WARNING pipeline.stages.somewhere: a doubt")


def test_an_unknown_level_is_refused_with_the_other_mistakes(capsys, monkeypatch):
    """It is one of them, and the job ends with exit code 2."""
    monkeypatch.setenv(LOG_LEVEL, "loud")
    with pytest.raises(UserError, match=r"DQ_LOG_LEVEL=loud. Allowed: DEBUG, INFO, WARNING, ERROR. Change: set or"):
        log_to_stderr()
    monkeypatch.setattr(sys, "argv", ["compare", "no.such=1"])
    assert main(CompareJob, "a job", lambda config: {"status": "finished"}) == 2
    err = capsys.readouterr().err
    assert "2 mistakes" in err and "DQ_LOG_LEVEL=loud" in err and "no" in err


def test_a_worker_in_a_process_of_its_own_says_what_it_does(capsys, monkeypatch):
    """It is told the level of the job, and writes as the job does."""
    assert LOG_LEVEL not in log_environment()
    monkeypatch.setenv(LOG_LEVEL, "ERROR")
    assert log_environment() == {LOG_LEVEL: "ERROR"}
    logging.getLogger("pipeline").handlers.clear()
    _call_logged(lambda payload: speak(), {})
    assert capsys.readouterr().err == "error: a loss\n"


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_no_line_holds_a_login(capsys, monkeypatch, level):
    """Neither a message nor its traceback; a library's handler is held to it, too."""
    monkeypatch.setenv(LOG_LEVEL, level)
    log_to_stderr()
    try:
        raise OSError("https://u:kan4ri@h")
    except OSError:
        log.exception("no answer of %s", "https://u:kan4ri@h")
    handler, record = logging.StreamHandler(sys.stderr), logging.makeLogRecord({"msg": "a https://u:kan4ri@h b"})
    for _ in range(2):
        mask_messages(handler)
    handler.handle(record)
    err = capsys.readouterr().err
    assert "kan4ri" not in err and err.count("https://***@h") == 4  # a traceback shows its source


def test_a_worker_is_handed_logins(monkeypatch):
    """By the call, since its environment is another's."""
    monkeypatch.setattr(login, "_known", {})
    take_login("mysql://u:kan4ri@h/d")
    handed = hand_over()
    monkeypatch.setattr(login, "_known", {})
    seen = []
    _call_logged(lambda work: seen.append(with_login(work)), "mysql://h/d", handed)
    assert seen == ["mysql://u:kan4ri@h/d"]


def test_progress_is_told_at_the_level_of_information(capsys, monkeypatch):
    """A line at the end of a stage; none where only warnings are wanted."""
    for level, expected in (("INFO", "packing: 2/2 in 0 s 3 left\n"), ("WARNING", "")):
        monkeypatch.setenv(LOG_LEVEL, level)
        log_to_stderr()
        ProgressBar("packing", 2).update(2, "3 left")
        assert capsys.readouterr().err == expected


LIBRARY = """
import logging
import pipeline.runtime.answer
from pipeline.config.jobs.compare import CompareJob
from pipeline.console.progress import ProgressBar
from pipeline.runtime.request import tell_too_long
tell_too_long([True], 3, "cut")
ProgressBar("packing", 2).update(2)
logging.basicConfig(format="mine: %(message)s")
tell_too_long([True], 3, "cut")
"""


def test_programs_that_import_parts_are_not_written_to():
    """Messages come when the program asks for them, in its own form."""
    environment = {name: value for name, value in os.environ.items() if name != LOG_LEVEL}
    done = subprocess.run([sys.executable, "-c", LIBRARY], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr == "mine: 1 of 1 texts are cut to 3 tokens\n"
