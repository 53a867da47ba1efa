"""A student as a package on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pipeline.config.sections.task import TaskConfig
from pipeline.export.package import PackageInfo, write_package
from pipeline.models.families import family_of
from pipeline.models.student import sites_of
from pipeline.quantization.packed_layers import convert
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.build import planned_student
from pipeline.stages.sweep.student.start_folder import read_heads
from pipeline.storage.atomic import atomic_folder
from pipeline.training.collective import barrier, gather_objects, rank
from pipeline.training.loop import Learner

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def pack_student(
    plan: StudentPlan,
    learner: Learner,
    teacher: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: TaskConfig,
) -> None:
    """Convert a replica of a trained student and write it as a package; frees the engine. Every rank calls it.

    The last update may have made a weight infinite, which no loss has seen: such a student fails here.
    """
    if not learner.active:
        return
    state = learner.engine.whole_state()  # on rank 0
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken := gather_objects(broken)[0]:
        learner.fail(f"non-finite {broken[0]} after the last optimiser step")
        return
    learner.engine.close()
    if rank() == 0:
        # Learned scales are part of the state; grids are made on the device that it was trained on.
        student = planned_student(plan, teacher, lambda replica: replica.load_state_dict(state))
        write_student(plan, student, tokenizer, task)
    barrier()


def write_student(
    plan: StudentPlan, student: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: TaskConfig
) -> None:
    """Pack a fake-quantized student, in place, and write it as a package, whole or not at all.

    Raises:
        NonFiniteError: a weight is NaN or infinite.
    """
    convert(student, sites_of(student), plan.scheme)
    with atomic_folder(plan.packed_folder) as partial:
        write_package(partial, student, tokenizer, _info(plan, student, task))


def _info(plan: StudentPlan, student: PreTrainedModel, task: TaskConfig) -> PackageInfo:
    positions = family_of(student.config).num_positions(student.config)  # a small model may have fewer than its teacher
    return PackageInfo(
        scheme=plan.scheme,
        encoder_map=plan.encoder_map,
        decoder_map=plan.decoder_map,
        heads=read_heads(plan.start_folder),
        decoding=task.decoding,
        source_prefix=task.source_prefix,
        source_language=task.source_language,
        target_language=task.target_language,
        max_source_tokens=min(task.max_source_tokens, positions or task.max_source_tokens),
    )
