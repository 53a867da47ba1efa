"""What each student minimises, and what the teacher must show for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from pipeline.config.changes import changed
from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import DECODER_TERMS, LAYER_TERMS, DistillationConfig
from pipeline.data.batch import Batch
from pipeline.distillation.losses_as_published import PublishedObjective
from pipeline.distillation.objective import DistillationObjective, Signals, TaskObjective, signals_of
from pipeline.distillation.recording import Relation, modules_named, relations_of
from pipeline.models.forward import start_token
from pipeline.models.student import sites_of
from pipeline.quantization.prepare import Sites
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.training.loop import Objective

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def objective_of(
    plan: StudentPlan,
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    heads: dict[str, list[int]],
    label_smoothing: float,
) -> Objective:
    """What a student minimises.

    Args:
        plan: its recipe and its layer maps.
        student: the model, before an engine takes it apart.
        teacher: its teacher.
        heads: attention module -> heads of the teacher's layer that the student keeps; all where it is not named.
        label_smoothing: of the task loss.

    Raises:
        UserError: relation heads that do not divide what is left of the student's width.
    """
    if not plan.config.distil:
        return TaskObjective(label_smoothing=label_smoothing)
    recipe, weights = plan.recipe, plan.recipe.distillation
    if start_token(teacher.config) is None:  # a classifier; the plan has named what does not concern it
        weights = changed(weights, dict.fromkeys(DECODER_TERMS, 0.0), "recipe.distillation")
    common: dict[str, Any] = {"weights": weights, "label_smoothing": label_smoothing}
    common |= {"encoder_map": plan.encoder_map, "decoder_map": plan.decoder_map}
    if recipe.distillation.reduction == "tensor":
        return PublishedObjective(as_released=recipe.dqbart.as_released, **common)
    relations = relations_of(weights, student, teacher)
    _check_widths(relations, student)
    return DistillationObjective(relations=relations, heads=_heads_by_layer(sites_of(student), heads), **common)


def logits_objective(weights: DistillationConfig, label_smoothing: float) -> DistillationObjective:
    """What a model of another shape than its teacher's minimises: it can imitate the logits alone.

    Args:
        weights: the recipe's; those of terms that compare layers count as 0.
        label_smoothing: of the task loss.

    Raises:
        UserError: nothing is left.
    """
    weights = changed(weights, dict.fromkeys(LAYER_TERMS, 0.0), "recipe.distillation")
    return DistillationObjective(weights=weights, encoder_map=[], decoder_map=[], label_smoothing=label_smoothing)


def teacher_pass(
    teacher: PreTrainedModel, objectives: Sequence[Objective], precision: str
) -> Callable[[Batch], Signals]:
    """The teacher's signals for a micro-batch: what one of the objectives compares, and nothing else."""
    distilled = [objective for objective in objectives if isinstance(objective, DistillationObjective)]
    recorded = modules_named(teacher, {name for objective in distilled for name in objective.teacher_modules})
    compared = [one.weights for one in objectives if isinstance(one, DistillationObjective | PublishedObjective)]
    attention = any(weights.compares_attention for weights in compared)
    hidden = any(weights.compares_hidden for weights in compared)

    @torch.no_grad()
    def signals(batch: Batch) -> Signals:
        with torch.autocast(batch.input_ids.device.type, torch.bfloat16, enabled=precision == "bf16"):
            return signals_of(teacher, batch, attention=attention, hidden=hidden, recorded=recorded)

    return signals


def _heads_by_layer(sites: Sites, heads: dict[str, list[int]]) -> dict[str, dict[int, list[int]]]:
    """Kind of attention -> layer -> heads that are left, for the modules that `heads` names."""
    chosen: dict[str, dict[int, list[int]]] = {}
    for site in sites.attentions:
        if site.module in heads:
            chosen.setdefault(site.kind, {})[site.layer] = heads[site.module]
    return chosen


def _check_widths(relations: dict[str, Relation], student: PreTrainedModel) -> None:
    for relation in relations.values():
        for name in relation.student:
            if (width := student.get_submodule(name).out_features) % relation.num_heads:
                raise UserError(
                    f"{relation.num_heads} relation heads for {name}, which has width {width} left",
                    "a divisor of what is left after heads were removed",
                    "set recipe.distillation.relation_heads=1, or heads=1",
                )
