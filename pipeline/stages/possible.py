"""Whether a sweep is possible: said before anything is trained."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from pipeline.cluster.ray_train import check_memory
from pipeline.config.build import changed
from pipeline.config.errors import UserError
from pipeline.config.recipe import RecipeConfig
from pipeline.config.schema import JobConfig, StudentConfig
from pipeline.distillation.objective import DECODER_TERMS
from pipeline.distillation.recording import check_relations
from pipeline.models.families import family_of
from pipeline.models.student import check_scheme, outline, sites_of
from pipeline.quantization.schedule import phases_of
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.job import OpenedJob
from pipeline.stages.plan import layer_maps, recipe_of
from pipeline.stages.storage import MIN_FREE_BYTES, check_free
from pipeline.tracking.progress import say

# Bytes of an idle worker process with its libraries, seen on CPU.
WORKER_BYTES = 1.0 * 2**30
BYTES_PER_PARAMETER = 16  # fp32 shadow weight, gradient, two AdamW moments


def check_possible(job: OpenedJob) -> None:
    """Refuse an impossible sweep before the teacher is trained.

    Raises:
        UserError: a depth or a relation that the teacher does not have, another objective than the task's, or too
            little memory or disk.
    """
    if job.config.task.objective == "denoising":
        raise UserError(
            "task.objective=denoising in a sweep",
            "supervised or classification; denoising is for jobs/finetune_teacher.py",
            "set task.objective=supervised",
        )
    layer_maps(job.config.sweep.students, job.shape)
    num_layers = dict(zip(("encoder", "decoder"), family_of(job.shape).num_layers(job.shape), strict=True))
    model = outline(job.shape)
    query = model.get_submodule(sites_of(model).attentions[0].query)
    assert isinstance(query, nn.Linear)
    for student in job.config.sweep.students:
        recipe = recipe_of(job.config, student)
        check_scheme(job.shape, scheme_of(student.scheme, recipe.quantisation))
        phases_of(recipe.schedule, recipe.quantisation)
        _check_heads(job.config, student, recipe)
        _check_encoder_alone(job, student, recipe)
        check_relations(recipe.distillation, num_layers, query.out_features)
    check_room(job, len(job.config.sweep.students))


def _check_heads(config: JobConfig, student: StudentConfig, recipe: RecipeConfig) -> None:
    if student.heads == 1:
        if "pruning" in student.recipe:
            raise UserError(
                f"student '{student.name}' with recipe.pruning and all its heads",
                "heads below 1",
                "set heads, e.g. 0.5",
            )
        return
    if recipe.pruning.method == "gates" and (config.student.max_steps == 0 or config.student.epochs == 0):
        raise UserError(
            f"student '{student.name}' with gates and no training steps", "steps to train them", "set student.max_steps"
        )
    if student.distil and recipe.distillation.reduction == "tensor":
        raise UserError(
            f"student '{student.name}' with heads={student.heads:g} and reduction=tensor",
            "token; the published losses compare all heads",
            "set recipe.distillation.reduction=token, or heads=1",
        )
    if recipe.quantisation.weight_granularity.startswith("group"):
        raise UserError(
            f"student '{student.name}' with {recipe.quantisation.weight_granularity}",
            "per_row or per_tensor where heads are removed: what is left of a row is not whole groups",
            "set recipe.quantisation.weight_granularity=per_row, or heads=1",
        )


def _check_encoder_alone(job: OpenedJob, student: StudentConfig, recipe: RecipeConfig) -> None:
    """What a classifier cannot be asked for is refused; what does not concern it is named."""
    if job.config.task.objective != "classification" or not student.distil:
        return
    if recipe.distillation.reduction == "tensor":
        raise UserError(
            f"student '{student.name}', a classifier, with reduction=tensor",
            "token; the published losses are those of a model with a decoder",
            "set recipe=best",
        )
    if recipe.sequence.kind != "none":
        raise UserError(
            f"student '{student.name}', a classifier, with recipe.sequence.kind={recipe.sequence.kind}",
            "none: a teacher that classifies writes no texts",
            "set recipe.sequence.kind=none",
        )
    changed(recipe.distillation, dict.fromkeys(DECODER_TERMS, 0.0), "recipe.distillation")  # something must be left
    if ignored := [term for term in DECODER_TERMS if getattr(recipe.distillation, term)]:
        say(f"student {student.name}: a classifier has no decoder, ignored: {', '.join(ignored)}")


def check_room(job: OpenedJob, num_models: int) -> None:
    """Refuse what fits neither disk nor memory: so many models as large as the teacher, trained at once.

    Raises:
        UserError: too little of either.
    """
    num_parameters, config = _num_parameters(job.shape), job.config
    # Two checkpoints exist while one replaces the other.
    checkpoints = 2 * num_models * BYTES_PER_PARAMETER * num_parameters
    check_free(job.storage.root, MIN_FREE_BYTES + checkpoints)
    trained = num_models * BYTES_PER_PARAMETER * num_parameters
    replica = 4 * num_parameters  # the teacher beside its students, or the copy that validates it
    tokens = max(config.student.micro_batch_tokens, config.teacher.micro_batch_tokens)
    activations = 64.0 * tokens * math.sqrt(num_parameters)  # grows with width x depth
    check_memory(config.cluster.num_workers * (WORKER_BYTES + trained + replica + activations), config.cluster)


def _num_parameters(shape: Any) -> float:
    return float(sum(parameter.numel() for parameter in outline(shape).parameters()))
