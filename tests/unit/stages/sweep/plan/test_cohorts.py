"""Cohorts that were interrupted go on where they can, and start afresh, with a word, where they cannot."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.sweep import StoppingConfig, SweepConfig
from pipeline.stages.sweep.plan import cohorts
from pipeline.storage.sealed_json import read_sealed_json
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.loop import Progress

ON_CPU = ClusterConfig(num_workers=8)
KEYS = ["a", "b", "c"]


@pytest.fixture
def interrupted(tmp_path):
    """`interrupted(cluster, **settings)`: keys of the cohorts that go on, of one of three that was left on eight CPUs.

    It was left after step 6 of 10.
    """
    folder = tmp_path / f"x-{ON_CPU.layout}"
    folder.mkdir()
    (folder / cohorts.COHORT).write_text(json.dumps(KEYS))
    Checkpointer(folder).save([], Progress(step=6))

    def find(cluster, cohort_size=None, gib=0.5, **stopping):
        sweep = SweepConfig(cohort_size=cohort_size, stopping=StoppingConfig(**stopping))
        config = SimpleNamespace(cluster=cluster, sweep=sweep)
        former = cohorts._Former.__new__(cohorts._Former)
        former.config, former.memory = config, lambda students: gib * 2**30 * len(students)
        plans = [SimpleNamespace(key=key) for key in KEYS]
        return [[plan.key for plan in one] for one in cohorts._interrupted(config, plans, {}, tmp_path, former)]

    return find


def test_a_cohort_goes_on_where_its_checkpoint_can_be_read(interrupted, capsys):
    """Elsewhere it starts afresh, with a word."""
    assert interrupted(ON_CPU) == [KEYS] and not capsys.readouterr().err
    assert interrupted(replace(ON_CPU, gpus_per_worker=1)) == []
    assert "a cohort of 3 students starts afresh: checkpoints are those of" in capsys.readouterr().err


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
        (tmp_path / f"x-{ON_CPU.layout}" / cohorts.COMPARISONS).write_text(json.dumps(record))
    assert interrupted(ON_CPU, rule="median", fractions=fractions) == [KEYS] * goes_on
    assert ("starts afresh" in capsys.readouterr().err) is not goes_on
    assert interrupted(ON_CPU, fractions=fractions) == [KEYS]  # without a rule nobody is compared


def test_comparisons_that_a_checkpoint_lies_behind_are_remembered(interrupted, tmp_path):
    """Those that were still to come are what is asked for now; a third submission knows both."""
    folder = tmp_path / f"x-{ON_CPU.layout}"
    cohorts.note_comparisons(folder, StoppingConfig(rule="median", fractions=[0.2, 0.5, 0.8]), 10)
    cohorts.note_comparisons(folder, StoppingConfig(rule="median", fractions=[0.5, 0.9]), 10)
    assert read_sealed_json(folder / cohorts.COMPARISONS) == {"num_steps": 10, "compared": [2, 5, 9]}
    assert interrupted(ON_CPU, rule="median", fractions=[0.2, 0.5]) == [KEYS]
