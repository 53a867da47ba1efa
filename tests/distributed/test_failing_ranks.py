"""The tests' own ranks: a failure is told, and nobody outlives it."""

import time

import psutil
import pytest
from ranks import FailedRanksError, run_ranks, seen_by_rank_0

WAITING = """
import os, pathlib, sys, time
rank, folder = int(sys.argv[1]), pathlib.Path(sys.argv[3])
(folder / f"pid-{rank}").write_text(str(os.getpid()))
while len(list(folder.glob("pid-*"))) < 2: time.sleep(0.01)
print("x" * 200_000, flush=True)  # more than a pipe holds
"""


@pytest.fixture
def ranks(tmp_path):
    """`ranks(program)`: runs it as two ranks, and says with which message and after how many seconds that failed."""

    def run(program, timeout_seconds=60):
        script, start = tmp_path / "script.py", time.monotonic()
        script.write_text(WAITING + program)
        with pytest.raises(FailedRanksError) as caught:
            run_ranks(script, 2, tmp_path, timeout_seconds)
        return str(caught.value), time.monotonic() - start

    return run


def alive(folder):
    return [path.name for path in folder.glob("pid-*") if psutil.pid_exists(int(path.read_text()))]


@pytest.mark.parametrize("failing", [0, 1])
def test_a_rank_that_fails_takes_the_others_with_it(ranks, tmp_path, failing):
    """At once, whichever it is, and the message is its own; else the others wait for it until they are killed."""
    message, seconds = ranks(f"if rank == {failing}: raise SystemExit('out of luck')\ntime.sleep(1000)")
    assert "out of luck" in message and seconds < 30
    assert alive(tmp_path) == []


def test_ranks_that_take_too_long_are_ended(ranks, tmp_path):
    """All of them."""
    message, _ = ranks("time.sleep(1000)", timeout_seconds=2)
    assert "out of time" in message
    assert alive(tmp_path) == []


def test_what_rank_0_saw_is_what_it_wrote(tmp_path):
    """After both have ended well."""
    script = tmp_path / "script.py"
    script.write_text(WAITING + "time.sleep(rank)\nif rank == 0: (folder / 'seen-2.json').write_text('[1]')")
    assert seen_by_rank_0(script, 2, tmp_path) == [1]
    assert alive(tmp_path) == []
