"""Whether Agora is possible with these data, this teacher and this candidate: said before anything is trained."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.errors import UserError
from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.config.sections.model import ModelConfig
from pipeline.data.splits import num_shared
from pipeline.data.tokenise import load_tokenizer
from pipeline.evaluation.metrics import HEADLINES
from pipeline.models.load import read_model_config
from pipeline.stages.agora.development import CONTAMINATED, development_examples
from pipeline.stages.agora.rewriters import check_masked_lm, check_packages
from pipeline.stages.job import OpenedJob
from pipeline.stages.sweep.plan.checks import check_students
from pipeline.stages.teacher.finished import TeacherResult

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

LEAST_ACCURACY = 100 * 2 / 3  # of a labeller, as published

log = logging.getLogger(__name__)


def check_possible(config: AgoraJob, model_config: PretrainedConfig) -> None:
    """Refuse a candidate that a teacher, or the model that it starts from, cannot have.

    Raises:
        UserError: depths or schemes that do not fit.
    """
    if config.agora.start:
        model_config = read_model_config(ModelConfig(pretrained=config.agora.start), None, kind=config.task.facts.model)
    check_students(config, [config.agora.candidate], model_config)


def check_data(job: OpenedJob[AgoraJob]) -> None:
    """Refuse data of which the test split would say nothing, and a start that reads other tokens.

    Raises:
        UserError: examples of the development set that are in the test split, too; a start with another vocabulary;
            models of generators that are none.
    """
    config, test = job.config, job.task.split("test").examples
    if shared := num_shared(development_examples(job.task, config), test):
        raise UserError(
            f"{shared} examples of the validation split that are in the test split, too",
            "none: what is learned from the validation split would be scored on the test split",
            "remove them from one of the files, or take the validation split from the training split "
            "(data.split_validation=0.1)",
        )
    if config.agora.start:
        _check_vocabulary(Path(config.agora.start), job.task.tokenizer())
    if config.agora.refill_model:
        check_masked_lm(config.agora.refill_model)
    check_packages(config.agora)
    if config.agora.contaminates:
        log.warning(CONTAMINATED)


def say_of_labeller(teacher: TeacherResult, config: AgoraJob) -> None:
    """Warn of a labeller that is wrong more often than one time in three."""
    accuracy, headline = teacher.validation.get("accuracy"), HEADLINES[config.task.metric]
    if accuracy is None:
        log.info(
            f"the labeller has {headline} {teacher.validation[headline]:.1f} on the development set: texts are not "
            "right or wrong, so the rule of two thirds says nothing of it"
        )
    if accuracy is not None and accuracy < LEAST_ACCURACY and config.agora.labels == "teacher":
        log.warning(
            f"the labeller is right in {accuracy:.1f} % of the development set, less than two times in three: "
            "what it teaches may be worse than nothing"
        )


def _check_vocabulary(start: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    own = load_tokenizer(ModelConfig(pretrained=str(start)))
    if own is not None and own.get_vocab() != tokenizer.get_vocab():
        raise UserError(
            f"agora.start={start} with a vocabulary of {len(own)} tokens that is not the teacher's ({len(tokenizer)})",
            "a model that reads the teacher's tokens, as jobs/bort_pretrain.py leaves it",
            "set agora.start, or model",
        )
