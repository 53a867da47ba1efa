"""Groups that were interrupted go on where their workers have memory for them, whoever wrote the checkpoint."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from pipeline.config.keys import config_hash
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.stages.search.groups import TRIALS, Grouping
from pipeline.storage.sealed_json import sealed_json
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.loop import Progress

KEYS = ["a", "b"]
HERE = ClusterConfig(engine="torch", num_workers=1, launcher="process", worker_memory_gib=1.0)


@pytest.fixture
def going_on(tmp_path):
    """`going_on(cluster, name)`: keys of the groups that go on, of one of two trials that one rank has left."""

    def find(cluster, name):
        folder = tmp_path / name
        engine = SimpleNamespace(name="torch", device=SimpleNamespace(type="cpu"))
        parts = {"active": False, "failure": None, "stopped": None, "random": SimpleNamespace(state=dict)}
        Checkpointer(folder).save([SimpleNamespace(engine=engine, **parts) for _ in KEYS], Progress(step=3))
        sealed_json(folder / TRIALS, KEYS)
        grouping = Grouping.__new__(Grouping)
        grouping.folder, grouping.memory = tmp_path, lambda trials: 1.5 * 2**30
        grouping.config = SimpleNamespace(cluster=cluster, search=SimpleNamespace(steps=[9]))
        trials = {key: SimpleNamespace(key=key) for key in KEYS}
        grouping.known = trials
        found, left = grouping._interrupted(trials)
        assert len(left) == (0 if found else 2)
        return [[trial.key for trial in group.trials] for group in found]

    return find


def test_a_group_goes_on_where_it_was_and_where_there_is_room(going_on, capsys):
    """What is free now counts for other workers alone; where it is too little the group starts afresh, with a word."""
    name = config_hash(KEYS)
    assert going_on(HERE, name) == [KEYS]
    assert going_on(replace(HERE, engine="deepspeed", worker_memory_gib=2.0), name) == [KEYS]
    assert not capsys.readouterr().err
    assert going_on(replace(HERE, num_workers=3, launcher="ray"), name) == []
    assert "a group of 2 candidates starts afresh: these workers have no room" in capsys.readouterr().err


def test_a_group_of_an_earlier_version_starts_afresh(going_on, capsys):
    """Its folder is named by a layout, too."""
    assert going_on(HERE, f"{config_hash(KEYS)}-torch-1-cpu") == []
    assert "of an earlier version, and not used" in capsys.readouterr().err
