"""Cohorts of candidates that were interrupted go on, on other workers where these have memory for them."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from pipeline.config.keys import config_hash
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.stages.agora import room
from pipeline.storage.sealed_json import sealed_json
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.loop import Progress

KEYS = ["a", "b"]
NAME = config_hash(KEYS)
HERE = ClusterConfig(engine="torch", num_workers=1, launcher="process")


@pytest.fixture
def going_on(tmp_path, monkeypatch):
    """`going_on(cluster, name)`: keys of the cohorts that go on, of one of two candidates that one rank has left."""
    monkeypatch.setattr(room, "_memory", lambda *_: 1.5 * 2**30)

    def find(cluster, name=NAME, gib=1.0):
        monkeypatch.setattr(room, "worker_memory_bytes", lambda _: gib * 2**30)
        folder = tmp_path / name
        engine = SimpleNamespace(name="torch", device=SimpleNamespace(type="cpu"))
        parts = {"active": False, "failure": None, "stopped": None, "random": SimpleNamespace(state=dict)}
        Checkpointer(folder).save([SimpleNamespace(engine=engine, **parts) for _ in KEYS], Progress(step=3))
        sealed_json(folder / room.CANDIDATES, KEYS)
        plan = SimpleNamespace(job=SimpleNamespace(config=SimpleNamespace(cluster=cluster)))
        candidates = [SimpleNamespace(plan=SimpleNamespace(key=key), is_done=False) for key in KEYS]
        found = room.interrupted_cohorts(plan, candidates, [], tmp_path)
        return [[one.plan.key for one in cohort.candidates] for cohort in found]

    return find


def test_a_cohort_goes_on_where_it_was_and_where_there_is_room(going_on, capsys):
    """What is free now counts for other workers alone; where it is too little the cohort starts afresh, with a word."""
    others = replace(HERE, num_workers=3, launcher="ray")
    assert going_on(HERE) == going_on(others, gib=2.0) == [KEYS]
    assert not capsys.readouterr().err
    assert going_on(others) == []
    assert "a cohort of 2 candidates starts afresh: these workers have no room" in capsys.readouterr().err


def test_a_cohort_of_an_earlier_version_starts_afresh(going_on, capsys):
    """Its folder is named by a layout, too."""
    assert going_on(HERE, f"{NAME}-torch-1-cpu") == []
    assert "of an earlier version" in capsys.readouterr().err
