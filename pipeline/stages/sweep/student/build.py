"""A student of a teacher, a plan and a state: what is trained, what is validated on the way, what is packed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import nn

from pipeline.export.package import load_package
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.quantization.schedule import BitSchedule, phases_of
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.start_folder import load_weights, read_heads

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def planned_student(
    plan: StudentPlan, teacher: PreTrainedModel, fill: Callable[[nn.Module], object] = lambda _: None
) -> PreTrainedModel:
    """A student on its teacher's device: layers of the teacher, heads removed, fake-quantized.

    One that is quantized without training has the weights of its origin, whose package must be there.

    Args:
        plan: the student.
        teacher: its teacher.
        fill: gives it a state, as `Engine.copy_to` does; without it has that of its first step.
    """
    heads = read_heads(plan.start_folder)
    student = build_student(teacher, plan.encoder_map, plan.decoder_map, plan.dropout, heads)
    load_weights(student, plan.start_folder)
    if plan.untrained is not None and plan.untrained.origin is not None:
        trained, _ = load_package(plan.untrained.origin.packed_folder)
        student.load_state_dict(trained.state_dict())
    prepare_student(student, plan.scheme)
    student.to(teacher.device)
    fill(student)
    return student


def bit_schedule(plan: StudentPlan, student: PreTrainedModel, num_steps: int) -> BitSchedule:
    """What switches a student between the phases of its recipe.

    Args:
        plan: the student.
        student: its model.
        num_steps: optimiser steps of its training.

    Raises:
        UserError: a phase that ends after the training does.
    """
    phases = phases_of(plan.recipe.schedule, plan.recipe.quantization, plan.scheme)
    return BitSchedule(student, sites_of(student), phases, plan.scheme, num_steps)
