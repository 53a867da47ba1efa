"""What of Agora is known to be wrong before anything heavy is imported."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.config.objectives import OBJECTIVES
from pipeline.models.starting_point import local_folder
from pipeline.stages.precheck import check_model, check_surroundings
from pipeline.stages.sweep.precheck import check_other_shape, check_student
from pipeline.storage.layout import seen_as_path


def check_agora(config: AgoraJob, mistakes: Mistakes | None = None) -> None:
    """Refuse what cannot be.

    Raises:
        UserError: whatever settings, paths and the model's own configuration tell.
    """
    mistakes = mistakes or Mistakes()
    is_known = not mistakes.concern("agora") and not mistakes.concern("recipe")
    facts, agora = config.task.facts, config.agora
    if not facts.has_students:
        others = [name for name, one in OBJECTIVES.items() if one.has_students]
        error = UserError(
            f"task.objective={config.task.objective}",
            f"{' or '.join(others)}: right and wrong, or better and worse, must be known",
            f"set task.objective={others[0]}, or choose another task",
        )
        mistakes.add(error, "agora")
        is_known = False
    check_surroundings(config, mistakes)
    # A candidate from a folder of its own is cut from other layers than the teacher's.
    check_model(config, [agora.candidate] if is_known and not agora.start else [], mistakes)
    if is_known:
        with mistakes.noted():
            check_student(config, agora.candidate)
        with mistakes.noted():
            _check_candidate(config)
        for key, name in {"start": agora.start, "there": agora.there, "back": agora.back}.items():
            with mistakes.noted():
                _check_folder(key, name)
        with mistakes.noted():
            _check_unlabelled(config)
    mistakes.tell()


def _check_candidate(config: AgoraJob) -> None:
    """Refuse what of a student a candidate has no use for."""
    candidate, mistakes = config.agora.candidate, Mistakes()
    recipe = candidate.recipe_under(config.recipe)
    sequence = recipe.sequence.kind
    if candidate.heads != 1:
        mistakes.add(
            UserError(
                f"agora.candidate.heads={candidate.heads:g}",
                "1: heads are chosen by what a teacher shows on a training split that does not grow",
                "remove heads in a sweep, and name what it leaves in agora.start",
            )
        )
    if candidate.training != "qat":
        mistakes.add(
            UserError(
                f"agora.candidate.training={candidate.training}",
                "qat: without training nothing is learned from mistakes",
                "leave training out of agora.candidate",
            )
        )
    if candidate.learning_rate is not None:
        mistakes.add(
            UserError(
                f"agora.candidate.learning_rate={candidate.learning_rate:g}",
                "none: learning rates are in Theta",
                "set agora.theta.learning_rates",
            )
        )
    if sequence != "none":
        mistakes.add(
            UserError(
                f"agora.candidate.recipe with sequence.kind={sequence}",
                "none: which texts the teacher writes is what Agora decides",
                "leave sequence out of agora.candidate.recipe",
            )
        )
    if config.agora.start and candidate.distil:
        with mistakes.noted():
            check_other_shape("agora.start", recipe.distillation, "agora.candidate.distil=false")
    mistakes.tell()


def _check_folder(key: str, name: str) -> None:
    if name and local_folder(name, f"agora.{key}") is None:
        raise UserError(f"agora.{key}={name}", "a folder that is there", f"set agora.{key}")


def _check_unlabelled(config: AgoraJob) -> None:
    agora = config.agora
    with seen_as_path(f"agora.unlabelled={agora.unlabelled}"):
        is_there = not agora.unlabelled or (Path(config.data.root) / agora.unlabelled).is_file()
    if not is_there:
        raise UserError(
            f"agora.unlabelled={Path(config.data.root) / agora.unlabelled}, which is no file",
            "a file of texts",
            "set agora.unlabelled, or data.root",
        )
