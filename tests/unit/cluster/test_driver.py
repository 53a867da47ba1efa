"""A driver is a child: its code, its signals and its death are told by the process that was started."""

import os
import signal
import subprocess
import sys
import textwrap

import psutil
import pytest
from repository import ROOT

START = """
import os, signal, sys, time
from pipeline.cluster.driver import DriverLostError, in_driver
from pipeline.training.stop_request import Stopped, listening

def begin():
    print("begun", os.getpid(), flush=True)

def call():
{call}

with listening():
    try:
        print("code", in_driver(call), flush=True)
    except DriverLostError as lost:
        print("lost", lost.code, lost, flush=True)
    except (Stopped, KeyboardInterrupt) as interrupt:
        print("interrupted", type(interrupt).__name__, flush=True)
"""
WAITS = "time.sleep(60)"


def started(call):
    """A process that makes a call in its driver, and the driver's id."""
    call = textwrap.dedent(call)
    script = START.format(call=textwrap.indent(call if "begin()" in call else f"begin()\n{call}", " " * 4))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    word, pid = process.stdout.readline().split()
    assert word == "begun" and int(pid) != process.pid
    return process, int(pid)


def last_word(process):
    """What a process says after the beginning; it ends well."""
    out = process.stdout.read()  # `communicate` would not see what `readline` has read ahead
    assert process.wait(timeout=60) == 0
    return out.strip()


def test_the_code_of_a_call_comes_back():
    """Whatever it is."""
    assert last_word(started("return 10")[0]) == "code 10"


def test_a_code_counts_though_the_process_is_lost_after_it():
    """A cluster that goes down with the job takes nothing from what it has said."""
    late = "import types; sys.modules['ray'] = types.SimpleNamespace(shutdown=lambda: os._exit(1)); return 0"
    assert last_word(started(late)[0]) == "code 0"


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os._exit(1)", "lost 1 the job's process ended with code 1 and without a word, as Ray's client ends it"),
        (
            "os.kill(os.getpid(), signal.SIGKILL)",
            "lost -9 the job's process was ended by SIGKILL; the kernel does that",
        ),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "lost -11 the job's process was ended by SIGSEGV"),
    ],
)
def test_a_driver_that_ends_without_a_word_is_lost(end, said):
    """No exception of Python comes then."""
    assert last_word(started(end)[0]).startswith(said)


def test_a_process_that_the_driver_left_does_not_hide_its_end(tmp_path):
    """A pool that it forked holds the pipe on which it would have spoken."""
    left = tmp_path / "left"
    process, _ = started(
        f"""
        if (pid := os.fork()) == 0:
            {WAITS}
        open("{left}", "w").write(str(pid))
        os._exit(1)
        """
    )
    word = process.stdout.readline()
    psutil.Process(int(left.read_text())).kill()  # it is still there
    assert word.startswith("lost 1") and last_word(process) == ""


SIGNALS = {signal.SIGTERM: "Stopped", signal.SIGINT: "KeyboardInterrupt"}


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_goes_on_to_the_driver(number):
    """It is the driver that says what becomes of it."""
    process, _ = started(f"try:\n    begin(); {WAITS}\nexcept {SIGNALS[number]}:\n    return 75")
    process.send_signal(number)
    assert last_word(process) == "code 75"


def test_a_second_request_does_not_disturb_the_leaving(tmp_path):
    """Neither the driver nor the process that waits for it."""
    process, _ = started(
        f"""
        try:
            begin(); {WAITS}
        finally:
            print("leaving", flush=True)
            while not os.path.exists("{tmp_path}/asked again"):
                time.sleep(0.01)
        """
    )
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "leaving\n"
    process.send_signal(signal.SIGTERM)
    (tmp_path / "asked again").touch()
    assert last_word(process) == "interrupted Stopped"


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupt_that_nobody_handles_interrupts_the_parent(number):
    """As if there were no driver."""
    process, _ = started(WAITS)
    process.send_signal(number)
    assert last_word(process) == f"interrupted {SIGNALS[number]}"


def test_a_driver_ends_when_its_parent_is_killed():
    """Else it would train on, and hold its lease, while the job is submitted again."""
    process, driver = started(WAITS)
    waiting = psutil.Process(driver)
    process.kill()
    process.communicate()
    assert psutil.wait_procs([waiting], timeout=30)[1] == []


def test_a_terminal_reaches_the_parent_alone():
    """Its Ctrl-C would come twice otherwise."""
    process, driver = started(WAITS)
    try:
        assert os.getpgid(driver) == driver != os.getpgid(process.pid)
    finally:
        process.kill()
        process.communicate()
