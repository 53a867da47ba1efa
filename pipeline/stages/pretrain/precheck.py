"""What of a pre-training is known to be wrong before anything heavy is imported."""

from __future__ import annotations

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.config.objectives import OBJECTIVES, ModelKind
from pipeline.config.sections.model import ModelConfig
from pipeline.models.starting_point import StartingPoint, families_of_kind, starting_point
from pipeline.stages.precheck import check_model, check_surroundings

KIND: ModelKind = "masked LM"


def check_pretraining(config: PretrainJob, mistakes: Mistakes | None = None) -> None:
    """Refuse a pre-training that cannot be.

    Raises:
        UserError: whatever settings, paths and the models' own configurations tell.
    """
    mistakes = mistakes or Mistakes()
    check_surroundings(config, mistakes)
    if not mistakes.concern("task.objective"):
        with mistakes.noted():
            _check_objective(config)
    if config.task.facts.model == KIND:  # of another kind of model nothing else is a matter
        check_model(config, [], mistakes)
        if not (mistakes.concern("pretraining") or mistakes.concern("task.max_source_tokens")):
            with mistakes.noted():
                _check_small_model(config)
        if not mistakes.concern("teacher") and not mistakes.concern("model.pretrained"):
            with mistakes.noted():
                _check_teacher_knows_something(config)
    mistakes.tell()


def small_model(config: PretrainJob, family: str | None) -> ModelConfig:
    """The model that is pre-trained.

    Args:
        config: the job.
        family: of the teacher, where it is known.
    """
    of = config.pretraining
    shape = of.architecture
    name = of.start or f"{shape.encoder_layers}-{shape.num_heads}-{shape.d_model}-{shape.ffn_dim}"
    family = of.family or (None if of.start else family)
    return ModelConfig(name=name, family=family, pretrained=of.start, architecture=shape.whole)


def _check_objective(config: PretrainJob) -> None:
    if config.task.facts.model != KIND:
        suitable = [name for name, facts in OBJECTIVES.items() if facts.model == KIND]
        raise UserError(
            f"task.objective={config.task.objective}, whose models are no masked LMs",
            " or ".join(suitable),
            f"set task.objective={suitable[0]} or task=plain_text",
        )


def _check_small_model(config: PretrainJob) -> None:
    suitable, of = families_of_kind(KIND), config.pretraining
    if of.family is not None and of.family not in suitable:
        raise UserError(f"pretraining.family={of.family}", f"one of {', '.join(suitable)}", "set pretraining.family")
    start = small_start(config)
    if start is None:
        return
    if start.family not in suitable:
        raise UserError(
            f"pretraining.start={of.start}, a {start.family} model",
            f"one of {', '.join(suitable)}",
            "set pretraining.start",
        )
    if start.num_positions is not None and config.task.max_source_tokens > start.num_positions:
        raise UserError(
            f"task.max_source_tokens={config.task.max_source_tokens} for a small model of {start.num_positions}"
            " positions",
            "no more than it has",
            f"set task.max_source_tokens={start.num_positions}"
            + ("" if of.start else " or pretraining.architecture.max_positions"),
        )


def small_start(config: PretrainJob) -> StartingPoint | None:
    """What the small model is, as far as it is known without its weights.

    Raises:
        UserError: no such folder, or none of a model.
    """
    model = small_model(config, families_of_kind(KIND)[0])  # any of them: which one does not matter here
    try:
        return starting_point(model)
    except UserError as error:
        given = error.given.replace("model.pretrained", "pretraining.start")
        raise UserError(given, error.allowed, "set pretraining.start or pretraining.family") from None


def _check_teacher_knows_something(config: PretrainJob) -> None:
    if not config.model.pretrained and (config.teacher.epochs == 0 or config.teacher.max_steps == 0):
        raise UserError(
            "a teacher from scratch that is not trained",
            "steps to train it, or a masked LM in model.pretrained",
            "set teacher.epochs and teacher.max_steps, or model.pretrained",
        )
