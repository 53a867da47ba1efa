"""What a checkpoint remembers of those who wrote it."""

import itertools

from pipeline.config.sections.cluster import ClusterConfig
from pipeline.training.layout import layout_of


def test_a_layout_names_engine_workers_and_kind_of_device():
    """Each of them makes another one, and people can read it."""
    settings = itertools.product([1, 8], [0, 1], [("torch", 0), *(("deepspeed", stage) for stage in range(4))])
    layouts = [
        layout_of(ClusterConfig(num_workers=workers, gpus_per_worker=gpus, engine=engine, zero_stage=stage))
        for workers, gpus, (engine, stage) in settings
    ]
    assert len(set(map(str, layouts))) == len(set(layouts)) == len(layouts) == 20
    assert [str(layouts[0]), str(layouts[-1])] == ["torch on 1 cpu rank", "zero3 on 8 cuda ranks"]


def test_random_draws_go_on_under_another_engine_alone():
    """A rank that was not there, or another kind of device, has no position to go on from."""
    one, engine, ranks, device = (
        layout_of(ClusterConfig(**settings))
        for settings in ({}, {"zero_stage": 3}, {"num_workers": 3}, {"gpus_per_worker": 1})
    )
    assert [one.draws_like(other) for other in (one, engine, ranks, device)] == [True, True, False, False]
