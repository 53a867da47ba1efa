"""A request to stop reaches a group of workers through the shared storage, and no group but that."""

import os

import pytest

from pipeline.cluster import stop_files as module
from pipeline.cluster.stop_files import asked_by_driver, followed, in_training, stop_files
from pipeline.storage.leftovers import remove_leftovers
from pipeline.training.stop_request import Stopped


@pytest.fixture(autouse=True)
def looks_always(monkeypatch):
    """Without pauses between two looks."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)


def test_a_worker_sees_the_request_of_its_own_group(tmp_path):
    """The next group of the same name begins unasked; without files nobody is asked."""
    assert not asked_by_driver()
    with stop_files(tmp_path) as files, stop_files(tmp_path) as others:
        with followed(files):
            assert not asked_by_driver()
            files.ask()
            assert asked_by_driver()
        with followed(others):
            assert not asked_by_driver()
    assert not asked_by_driver() and not list(tmp_path.iterdir())


def test_the_driver_sees_who_trains(tmp_path):
    """As rank 0 says it; also after an error, and where the driver has left first."""
    with stop_files(tmp_path) as files, followed(files):
        with in_training(tells=False):
            assert not files.is_training()
        with pytest.raises(ValueError, match="x"), in_training(tells=True):
            assert files.is_training()
            raise ValueError("x")
        assert not files.is_training()
        with in_training(tells=True):
            files.training.unlink()
    assert not files.is_training()


def test_a_group_that_was_asked_is_waited_for_until_it_has_left(tmp_path):
    """Its runs are ended after its checkpoint is written."""
    with stop_files(tmp_path) as files:
        with pytest.raises(Stopped), followed(files):
            try:
                with in_training(tells=True):
                    raise Stopped
            finally:
                assert files.is_training()
        assert not files.is_training()


def test_a_storage_that_is_away_asks_nobody(tmp_path):
    """Nor does a file that somebody has removed."""
    with stop_files(tmp_path) as files, followed(files):
        files.going_on.unlink()
        assert not asked_by_driver()


def test_looks_have_pauses(tmp_path, monkeypatch):
    """A step takes milliseconds, and the storage belongs to all."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 3600.0)
    with stop_files(tmp_path) as files, followed(files):
        assert not asked_by_driver()
        files.ask()
        assert not asked_by_driver()


def test_what_a_killed_driver_leaves_is_removed(tmp_path, monkeypatch):
    """By a later job of its machine, after a day."""
    with stop_files(tmp_path) as files:
        monkeypatch.setattr("pipeline.storage.leftovers.is_alive", lambda _: False)
        for path in (files.going_on, files.training):
            os.utime(path, (0, 0))
        remove_leftovers(tmp_path)
        assert not files.going_on.exists() and not files.training.exists()
