"""Cohorts that were interrupted go on where they can, and start afresh, with a word, where they cannot."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pipeline.config.keys import config_hash
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.sweep import StoppingConfig, SweepConfig
from pipeline.stages.sweep.plan import cohorts
from pipeline.storage.sealed_json import read_sealed_json
from pipeline.training import checkpoint
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.loop import Progress

ON_CPU = ClusterConfig(num_workers=8)
KEYS = ["a", "b", "c"]
NAME = config_hash(KEYS)


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """`interrupted(cluster, **settings)`: keys of the cohorts that go on, of one of three that was left on eight CPUs.

    It was left after step 6 of 10.
    """
    folder = tmp_path / NAME
    folder.mkdir()
    (folder / cohorts.COHORT).write_text(json.dumps(KEYS))
    engine = SimpleNamespace(name="zero2", device=SimpleNamespace(type="cpu"))
    parts = {"active": False, "failure": None, "stopped": None, "random": SimpleNamespace(state=dict)}
    monkeypatch.setattr(checkpoint, "world_size", lambda: 8)
    Checkpointer(folder).save([SimpleNamespace(engine=engine, **parts)], Progress(step=6))

    def find(cluster, cohort_size=None, gib=0.5, room=2.0, **stopping):
        sweep = SweepConfig(cohort_size=cohort_size, stopping=StoppingConfig(**stopping))
        config = SimpleNamespace(cluster=cluster, sweep=sweep)
        former = cohorts._Former.__new__(cohorts._Former)
        former.config, former.memory = config, lambda students: gib * 2**30 * len(students)
        plans = [SimpleNamespace(key=key) for key in KEYS]
        found = cohorts._interrupted(config, plans, {}, tmp_path, former, room * 2**30)
        return [[plan.key for plan in one] for one in found]

    return find


OTHERS = [replace(ON_CPU, gpus_per_worker=1), replace(ON_CPU, num_workers=3), replace(ON_CPU, engine="torch")]


@pytest.mark.parametrize("cluster", OTHERS)
def test_a_cohort_goes_on_under_another_layout_where_that_has_room(interrupted, capsys, cluster):
    """Where it has none the cohort starts afresh, with a word; where it was, it goes on whatever is free now."""
    assert interrupted(cluster) == [KEYS] and interrupted(ON_CPU, room=1.0) == [KEYS]
    assert not capsys.readouterr().err
    assert interrupted(cluster, room=1.0) == []
    assert "a cohort of 3 students starts afresh: these workers have no room" in capsys.readouterr().err


def test_checkpoints_of_an_earlier_version_are_not_used(interrupted, tmp_path, capsys):
    """Their folders are named by a layout, too."""
    (tmp_path / NAME).rename(tmp_path / f"{NAME}-zero2-8-cpu")
    assert interrupted(ON_CPU) == []
    assert "of an earlier version: its cohort starts afresh" in capsys.readouterr().err


@pytest.mark.parametrize("remedy", [{"cohort_size": 2}, {"cluster": replace(ON_CPU, worker_memory_gib=1.2)}])
def test_a_cohort_that_was_too_large_does_not_go_on_after_the_advice_was_taken(interrupted, capsys, remedy):
    """Else it would run out of memory again; where nothing was changed, or enough is given, it goes on."""
    assert interrupted(**{"cluster": ON_CPU} | remedy) == []
    assert "starts afresh as smaller ones" in capsys.readouterr().err
    assert interrupted(replace(ON_CPU, worker_memory_gib=1.6), cohort_size=3) == [KEYS]


@pytest.mark.parametrize(
    ("compared", "fractions", "goes_on"),
    [
        ([5], [0.5], True),
        ([2, 5], [0.5], True),
        ([], [0.7], True),  # that step is still to come
        ([], [0.5], False),
        ([5], [0.2, 0.5], False),
        (None, [0.5], False),
    ],
)
def test_a_cohort_goes_on_where_its_students_were_compared(interrupted, tmp_path, capsys, compared, fractions, goes_on):
    """Whoever asks for comparisons behind which the checkpoint lies gets them; what cannot be known was not made."""
    if compared is not None:
        record = {"num_steps": 10, "compared": compared}
        (tmp_path / NAME / cohorts.COMPARISONS).write_text(json.dumps(record))
    assert interrupted(ON_CPU, rule="median", fractions=fractions) == [KEYS] * goes_on
    assert ("starts afresh" in capsys.readouterr().err) is not goes_on
    assert interrupted(ON_CPU, fractions=fractions) == [KEYS]  # without a rule nobody is compared


def test_comparisons_that_a_checkpoint_lies_behind_are_remembered(interrupted, tmp_path):
    """Those that were still to come are what is asked for now; a third submission knows both."""
    folder = tmp_path / NAME
    cohorts.note_comparisons(folder, StoppingConfig(rule="median", fractions=[0.2, 0.5, 0.8]), 10)
    cohorts.note_comparisons(folder, StoppingConfig(rule="median", fractions=[0.5, 0.9]), 10)
    assert read_sealed_json(folder / cohorts.COMPARISONS) == {"num_steps": 10, "compared": [2, 5, 9]}
    assert interrupted(ON_CPU, rule="median", fractions=[0.2, 0.5]) == [KEYS]
