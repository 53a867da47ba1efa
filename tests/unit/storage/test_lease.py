"""A lease has one holder, whatever happens to processes and clocks; an abandoned one has one heir."""

import json
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import pytest

from pipeline.config.errors import UserError
from pipeline.storage import lease as lease_module
from pipeline.storage.lease import ABANDONED_SECONDS, OVERDUE_SECONDS, Owner, lease

ELSEWHERE = Owner(host="other", pid=12, since="noon", machine="another one", token="theirs")


def left_behind(folder, owner=ELSEWHERE, number=1, age=0.0):
    """A lease that some process took and renewed so many seconds ago."""
    path = folder / "lease" / f"{number}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(owner)) if owner is not None else "")
    aged(path, age)
    return path


def aged(path, age):
    os.utime(path, (time.time() - age, time.time() - age))


def test_a_second_one_is_refused_and_told_who_holds_it(tmp_path):
    """And may come once the first is done, also when that failed."""
    for error in (None, ValueError):
        try:
            with lease(tmp_path, "sweep 12ab"):
                with pytest.raises(UserError, match=rf"sweep 12ab is being trained by .+:{os.getpid()} since 20\d\d"):
                    lease(tmp_path, "sweep 12ab").__enter__()
                with lease(tmp_path / "another", "sweep 34cd"):
                    pass
                if error is not None:
                    raise error
        except ValueError:
            pass
    with lease(tmp_path, "sweep 12ab"):
        pass


@pytest.mark.parametrize(("age", "ended"), [(0, False), (OVERDUE_SECONDS - 5, False), (ABANDONED_SECONDS + 5, True)])
@pytest.mark.parametrize("owner", [ELSEWHERE, None], ids=["of another machine", "half written"])
def test_a_lease_that_is_not_renewed_ends(tmp_path, owner, age, ended):
    """After a minute; before, its owner may only be slow."""
    left_behind(tmp_path, owner, age=age)
    if ended:
        with lease(tmp_path, "x"):
            pass
    else:
        with pytest.raises(UserError, match="is being trained"):
            lease(tmp_path, "x").__enter__()


@pytest.mark.parametrize("dead", [True, False])
def test_an_overdue_lease_is_waited_for_until_it_ends_or_is_renewed(tmp_path, monkeypatch, capsys, dead):
    """A submission that is restarted after a crash elsewhere goes on; beside a slow owner it is refused as ever."""
    path = left_behind(tmp_path, age=OVERDUE_SECONDS + 5)
    monkeypatch.setattr(lease_module.time, "sleep", lambda _: aged(path, ABANDONED_SECONDS + 5 if dead else 0))
    if dead:
        with lease(tmp_path, "x"):
            pass
    else:
        with pytest.raises(UserError, match="is being trained"):
            lease(tmp_path, "x").__enter__()
    assert "other:12 may be dead: its lease on x is overdue" in capsys.readouterr().err


def test_clocks_of_machines_do_not_matter(tmp_path, monkeypatch):
    """Ages are differences of times that the storage gives."""
    left_behind(tmp_path)
    for error in (-1e6, 1e6):
        monkeypatch.setattr(time, "time", lambda error=error: error)
        with pytest.raises(UserError, match="is being trained"):
            lease(tmp_path, "x").__enter__()


def test_a_dead_process_of_this_machine_holds_nothing(tmp_path):
    """No need to wait for a minute; a process id of another machine means nothing here."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    mine = lease_module._this_process()
    left_behind(tmp_path, replace(mine, pid=dead.pid))
    with lease(tmp_path, "x"):
        pass
    left_behind(tmp_path / "b", replace(mine, pid=dead.pid, machine="of the same name"))
    with pytest.raises(UserError, match="is being trained"):
        lease(tmp_path / "b", "x").__enter__()


@pytest.mark.parametrize("age", [None, ABANDONED_SECONDS + 5], ids=["free", "abandoned"])
def test_of_many_at_once_one_gets_it(tmp_path, age):
    """Round after round, whether the lease was free or abandoned."""
    num = 6
    everybody = threading.Barrier(num)

    def submit(folder):
        everybody.wait()
        try:
            with lease(folder, "x"):
                everybody.wait()  # nobody is done before all have tried
                return "trained"
        except UserError:
            everybody.wait()
            return "refused"

    with ThreadPoolExecutor(num) as pool:
        for attempt in range(15):
            folder = tmp_path / f"{attempt}"
            if age is not None:
                left_behind(folder, age=age)
            outcomes = list(pool.map(submit, [folder] * num))
            assert sorted(outcomes) == ["refused"] * (num - 1) + ["trained"]


def test_those_who_wait_come_in_turns(tmp_path, monkeypatch, capsys):
    """Never two at once, each of them in the end, and each says once for whom it waits."""
    monkeypatch.setattr(lease_module, "POLL_SECONDS", 0.001)
    inside, together, done = [], [], []

    def train(number):
        with lease(tmp_path, "teacher 12ab", wait=True):
            inside.append(number)
            together.append(len(inside))
            inside.remove(number)
            done.append(number)

    with ThreadPoolExecutor(4) as pool, lease(tmp_path, "teacher 12ab"):
        waiting = [pool.submit(train, number) for number in range(4)]
        while capsys.readouterr().err.count("waiting for") == 0:
            assert not done
    for future in waiting:
        future.result()
    assert together == [1] * 4
    assert sorted(done) == list(range(4))
    assert capsys.readouterr().err.count("to finish teacher 12ab") <= 3


@pytest.mark.parametrize("tenures", [1, 40])
def test_who_looked_long_ago_does_not_become_an_owner(tmp_path, monkeypatch, tenures):
    """It saw an abandoned lease and was suspended; meanwhile others took it, ended it and took it again."""
    left_behind(tmp_path, age=ABANDONED_SECONDS + 5)
    looks = iter([1])  # what it saw before
    real = lease_module._newest
    for _ in range(tenures - 1):
        with lease(tmp_path, "x"):
            pass
    with lease(tmp_path, "x"):
        monkeypatch.setattr(lease_module, "_newest", lambda folder: next(looks, None) or real(folder))
        with pytest.raises(UserError, match="is being trained"):
            lease(tmp_path, "x").__enter__()

    assert len(list((tmp_path / "lease").glob("*.json"))) < 16


def test_a_lost_lease_stops_its_holder(tmp_path, monkeypatch, capsys):
    """Suspended for long, it finds an heir: it is interrupted, says so, and leaves the heir's lease alone."""
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.01)
    interrupted = threading.Event()
    with pytest.raises(UserError, match="x was taken over by other:12"), lease(tmp_path, "x", on_lost=interrupted.set):
        heir = left_behind(tmp_path, number=2)
        assert interrupted.wait(60)
    assert "LOST: x was taken over by other:12" in capsys.readouterr().err
    assert json.loads(heir.read_text()) == asdict(ELSEWHERE)
    with pytest.raises(UserError, match="other:12"):
        lease(tmp_path, "x").__enter__()


@pytest.fixture
def hears_interrupts():
    """As a process does that no shell has put into the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_holder_is_interrupted_in_its_main_thread(hears_interrupts, tmp_path, monkeypatch):
    """Whatever it does, unless it ignores interrupts."""
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.01)
    with pytest.raises(UserError, match="taken over"), lease(tmp_path, "x"):
        left_behind(tmp_path, number=2)
        threading.Event().wait(60)
        pytest.fail("not interrupted")


def test_an_interrupt_by_a_person_stays_one(tmp_path):
    """It is no mistake in the configuration; the lease is given back."""
    with pytest.raises(KeyboardInterrupt), lease(tmp_path, "x"):
        raise KeyboardInterrupt
    with lease(tmp_path, "x"):
        pass


def test_a_living_holder_renews(tmp_path, monkeypatch):
    """The file becomes young again, also after an error of the storage."""
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.01)
    real, failures = os.utime, iter([OSError("storage is away")])
    renewed = threading.Event()

    def utime(*arguments, **options):
        if (error := next(failures, None)) is not None:
            raise error
        real(*arguments, **options)
        renewed.set()

    with lease(tmp_path, "x"):
        path = tmp_path / "lease" / "1.json"
        aged(path, 1000)
        monkeypatch.setattr(os, "utime", utime)
        assert renewed.wait(60)
        assert path.stat().st_mtime > time.time() - 500
