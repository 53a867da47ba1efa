"""A checkpoint is read under the layout that wrote it; whoever comes with another is told that it starts afresh."""

import itertools
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pipeline.config.sections.cluster import ClusterConfig
from pipeline.stages.sweep.plan import cohorts
from pipeline.stages.training import say_other_layouts
from pipeline.storage.atomic import atomic_json
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.loop import Progress

ON_CPU = ClusterConfig(num_workers=8)
KEYS = ["a", "b", "c"]


def test_the_layout_names_engine_workers_and_kind_of_device():
    """Random states of a GPU are part of a checkpoint: one from CPUs has none."""
    settings = itertools.product([1, 8], [0, 1], [("torch", 0), *(("deepspeed", stage) for stage in range(4))])
    layouts = [
        ClusterConfig(num_workers=workers, gpus_per_worker=gpus, engine=engine, zero_stage=stage).layout
        for workers, gpus, (engine, stage) in settings
    ]
    assert len(set(layouts)) == len(layouts) == 20
    endings = [(one, other) for one in layouts for other in layouts if one != other and one.endswith(f"-{other}")]
    assert not endings


@pytest.mark.parametrize(("complete", "said"), [(True, 1), (False, 0)])
def test_a_fresh_start_beside_checkpoints_of_another_layout_is_said(tmp_path, capsys, complete, said):
    """Not where the other is incomplete, nor where one of this layout is there, too."""
    on_gpu = replace(ON_CPU, gpus_per_worker=1)
    for name in (ON_CPU.layout, on_gpu.layout):
        say_other_layouts(tmp_path.glob("*"), on_gpu.layout, "teacher t")
        (tmp_path / name).mkdir()
        if complete:
            atomic_json(tmp_path / name / "step-00000001" / "progress.json", {})
    say_other_layouts(tmp_path.glob("*"), on_gpu.layout, "teacher t")
    words = capsys.readouterr().err
    assert words.count("teacher t starts afresh") == said
    assert words.count("zero2-8-cpu") == words.count("zero2-8-cuda cannot") == said


@pytest.fixture
def interrupted(tmp_path):
    """`interrupted(cluster, **sweep)`: keys of the cohorts that go on, of one of three that was left on eight CPUs."""
    folder = tmp_path / f"x-{ON_CPU.layout}"
    folder.mkdir()
    (folder / cohorts.COHORT).write_text(json.dumps(KEYS))
    Checkpointer(folder).save([], Progress(step=1))

    def find(cluster, cohort_size=None, gib=0.5):
        config = SimpleNamespace(
            cluster=cluster, sweep=SimpleNamespace(cohort_size=cohort_size, stopping=SimpleNamespace(rule="none"))
        )
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
