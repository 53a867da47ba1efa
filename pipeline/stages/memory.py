"""How much memory students need: what decides which of them share a worker, and whether they fit at all.

Estimates for the plan, meant to be too large rather than too small; `worker_peak_memory_bytes` of a run is what it was.
"""

from __future__ import annotations

import copy
import math
from typing import Any

from pipeline.config.schema import ClusterConfig, JobConfig, TrainConfig
from pipeline.models.families import family_of
from pipeline.models.student import outline

# An idle worker with its libraries, seen on CPU.
WORKER_BYTES = 1.0 * 2**30
SHADOW_BYTES, GRADIENT_BYTES, ADAM_BYTES = 4, 4, 8  # of a parameter, all in fp32
GRID_BYTES = 14  # values on the grid, their bf16 copies, what the backward pass remembers of rounding: 30 seen in all


def num_parameters(shape: Any, num_layers: tuple[int, int] | None = None) -> int:
    """Parameters of a model of a configuration, tied matrices once.

    Args:
        shape: the configuration.
        num_layers: encoder and decoder layers instead of its own.
    """
    shape, family = copy.deepcopy(shape), family_of(shape)
    for stack, number in zip(family.stacks, num_layers or (), strict=False):
        setattr(shape, stack.setting, number)
    return sum(int(parameter.numel()) for parameter in outline(shape).parameters())


def state_bytes(num_parameters: int, cluster: ClusterConfig, quantised: bool = True) -> float:
    """What a model in training keeps on every worker: shadow weights, gradients, AdamW's moments, grid weights.

    ZeRO 1 shards the moments, 2 gradients as well, 3 everything; a gathered copy of the weights is used in each pass.
    """
    stage = cluster.zero_stage if cluster.engine == "deepspeed" else 0
    share = [1.0 if stage < needed else 1 / cluster.num_workers for needed in (3, 2, 1)]
    sharded = SHADOW_BYTES * share[0] + GRADIENT_BYTES * share[1] + ADAM_BYTES * share[2]
    return num_parameters * (sharded + (GRID_BYTES if quantised or stage == 3 else 0))


def pass_bytes(num_parameters: int, shape: Any, train: TrainConfig) -> float:
    """What one forward and backward pass keeps: activations, grows with width x depth, and logits of both models."""
    tokens = train.micro_batch_tokens
    return 64.0 * tokens * math.sqrt(num_parameters) + 16.0 * tokens * int(shape.vocab_size)


def cohort_bytes(students: list[int], quantised: list[bool], teacher: int, shape: Any, config: JobConfig) -> float:
    """Memory of one worker that trains a cohort: students take turns, so only one pass is alive at a time.

    Args:
        students: parameters of each.
        quantised: whether it has a grid.
        teacher: parameters of the teacher, of which every worker holds a replica.
        shape: the teacher's configuration.
        config: the job.
    """
    states = sum(state_bytes(num, config.cluster, grid) for num, grid in zip(students, quantised, strict=True))
    replicas = 4.0 * (teacher + max(students))  # the teacher's, and that of the student being packed and scored
    return WORKER_BYTES + states + replicas + pass_bytes(max(students), shape, config.student)


def teacher_bytes(teacher: int, shape: Any, config: JobConfig) -> float:
    """Memory of one worker that fine-tunes the teacher, with the replica that validates it."""
    state = state_bytes(teacher, config.cluster, quantised=False)
    return WORKER_BYTES + state + 4.0 * teacher + pass_bytes(teacher, shape, config.teacher)


def checkpoint_bytes(students: list[int]) -> float:
    """Disk for the checkpoints of cohorts: two exist while one replaces the other."""
    return 2.0 * sum(students) * (SHADOW_BYTES + ADAM_BYTES)
