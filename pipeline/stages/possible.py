"""Whether a sweep is possible: said before anything is trained."""

from __future__ import annotations

from torch import nn

from pipeline.cluster.room import GIB, worker_memory_bytes
from pipeline.config.build import changed
from pipeline.config.errors import UserError
from pipeline.config.recipe import RecipeConfig
from pipeline.config.schema import JobConfig
from pipeline.config.sweep import StudentConfig
from pipeline.distillation.objective import DECODER_TERMS
from pipeline.distillation.recording import check_relations
from pipeline.models.families import family_of
from pipeline.models.student import check_scheme, outline, sites_of
from pipeline.quantization.schedule import phases_of
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.job import OpenedJob
from pipeline.stages.memory import checkpoint_bytes, micro_batches, num_parameters, pass_bytes, teacher_bytes, work_of
from pipeline.stages.plan import layer_maps, recipe_of
from pipeline.stages.storage import MIN_FREE_BYTES, check_free
from pipeline.tracking.progress import say


def check_possible(job: OpenedJob) -> None:
    """Refuse an impossible sweep before the teacher is trained.

    Raises:
        UserError: a depth or a relation that the teacher does not have, another objective than the task's.
    """
    if job.config.task.objective == "denoising":
        raise UserError(
            "task.objective=denoising in a sweep",
            "supervised or classification; denoising is for jobs/finetune_teacher.py",
            "set task.objective=supervised",
        )
    points = job.config.sweep.points()
    layer_maps(points, job.shape)
    num_layers = dict(zip(("encoder", "decoder"), family_of(job.shape).num_layers(job.shape), strict=True))
    model = outline(job.shape)
    query = model.get_submodule(sites_of(model).attentions[0].query)
    assert isinstance(query, nn.Linear)
    for student in points:
        recipe = recipe_of(job.config, student)
        check_scheme(job.shape, scheme_of(student.scheme, recipe.quantisation))
        phases_of(recipe.schedule, recipe.quantisation)
        _check_heads(job.config, student, recipe)
        _check_encoder_alone(job, student, recipe)
        check_relations(recipe.distillation, num_layers, query.out_features)


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


def check_teacher_room(job: OpenedJob) -> None:
    """Refuse a teacher that cannot be fine-tuned here.

    Raises:
        UserError: too little disk, or too little memory in a worker.
    """
    num, config = num_parameters(job.shape), job.config
    check_free(job.storage.root, MIN_FREE_BYTES + checkpoint_bytes([num]))
    lengths, train = job.task.split("train").lengths(), config.teacher
    largest = pass_bytes(work_of(job.shape), micro_batches(lengths, train, config.cluster.num_workers, config.seed))
    needed, room = teacher_bytes(num, largest, config), worker_memory_bytes(config.cluster)
    if needed > room:
        raise UserError(
            f"the teacher needs about {needed / GIB:.1f} GiB in each of {config.cluster.num_workers} workers",
            f"{room / GIB:.1f} GiB for each here",
            "lower cluster.num_workers or teacher.micro_batch_tokens, or set cluster.worker_memory_gib",
        )
