"""A checkpoint is read under the layout that wrote it; whoever comes with another is told that it starts afresh."""

import itertools
from dataclasses import replace

import pytest

from pipeline.config.sections.cluster import ClusterConfig
from pipeline.stages.training import say_other_layouts
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.loop import Progress

ON_CPU = ClusterConfig(num_workers=8)


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
            Checkpointer(tmp_path / name).save([], Progress(step=1))
    say_other_layouts(tmp_path.glob("*"), on_gpu.layout, "teacher t")
    words = capsys.readouterr().err
    assert words.count("teacher t starts afresh") == said
    assert words.count("zero2-8-cpu") == words.count("zero2-8-cuda cannot") == said
