"""What the driver does about a request to stop: it passes it on, and waits for those who have something to save."""

import signal
import threading
from functools import partial

import pytest

from pipeline.cluster import groups
from pipeline.cluster.stop_files import followed, in_training, stop_files
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.training.stop_request import Stopped, listening

ON_RAY = ClusterConfig(num_workers=2)


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """A job that is asked to stop when the driver looks for the third time: `asked()` tells how often it has looked."""
    earlier, looks = signal.getsignal(signal.SIGTERM), []

    def look(_):
        looks.append(1)
        if len(looks) == 3:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(groups._Watch, "look_regularly", look)
    monkeypatch.setattr(groups, "POLL_SECONDS", 0.01)
    yield lambda: len(looks)
    signal.signal(signal.SIGTERM, earlier)


def trained(files, trains, has_begun, done):
    """What a group does: it trains or waits until it is asked to stop."""
    with followed(files):
        if trains:
            with in_training(tells=True):
                has_begun.set()
                while not files.is_asked():
                    pass
                done.append("saved")
            threading.Event().wait()  # as Ray's end of a group, which takes many seconds
        else:
            has_begun.set()
            threading.Event().wait()


@pytest.mark.parametrize("trains", [True, False])
def test_a_group_that_trains_is_waited_for(tmp_path, monkeypatch, trains):
    """Not one that waits for its place or evaluates: nobody would come to its end."""
    monkeypatch.setattr(groups, "STOP_SECONDS", 600.0)
    done, has_begun = [], threading.Event()
    with pytest.raises(Stopped), listening(), stop_files(tmp_path) as files:
        call = partial(trained, files, trains, has_begun, done)
        monkeypatch.setattr(groups, "asked", partial(_once_begun, groups.asked, has_begun))
        groups.run_watched(call, "x", ON_RAY, 0.0, files)
    assert done == (["saved"] if trains else [])


def _once_begun(asked, has_begun):
    has_begun.wait()
    return asked()


def test_patience_with_a_group_has_an_end(tmp_path, monkeypatch, capsys):
    """Who asks kills in the end, and the runs must be ended before."""
    monkeypatch.setattr(groups, "STOP_SECONDS", 0.01)
    with pytest.raises(Stopped), listening(), stop_files(tmp_path) as files:
        files.training.write_text("training")
        groups.run_watched(threading.Event().wait, "cohort 1", ON_RAY, 0.0, files)
    assert "cohort 1 has not stopped in 0 s" in capsys.readouterr().err


def test_groups_side_by_side_are_all_asked_and_none_has_failed(tmp_path):
    """One that ended before is told; the others are neither failed nor done."""
    ended, called = [], []

    def call(name):
        with stop_files(tmp_path / name) as files:
            called.append(files)
            groups.run_watched(threading.Event().wait, name, ON_RAY, 0.0, files)

    calls = {"a": lambda: None, "b": partial(call, "b"), "c": partial(call, "c")}
    with pytest.raises(Stopped), listening():
        groups.run_side_by_side(calls, ON_RAY, lambda name, error: ended.append((name, error)))
    assert ended == [("a", None)] and len(called) == 2
