"""Whether a small model can learn from a teacher: said before anything is trained."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.data.tokenise import load_tokenizer
from pipeline.distillation.layer_map import layer_map
from pipeline.models.load import check_checkpoint
from pipeline.stages.job import OpenedJob
from pipeline.stages.pretrain.plan import PretrainPlan
from pipeline.stages.pretrain.precheck import KIND

if TYPE_CHECKING:
    from transformers import PretrainedConfig

log = logging.getLogger(__name__)


def check_possible(job: OpenedJob[PretrainJob], plan: PretrainPlan) -> None:
    """Refuse losses that the two shapes do not allow, a start with another vocabulary than the teacher's, and a corpus
    that does not fill one sequence.

    Raises:
        UserError: as said.
    """
    mistakes = Mistakes()
    with mistakes.noted():
        _check_fills_a_sequence(job)
    with mistakes.noted():
        _check_hidden(job.config, plan.model_config, job.model_config)
    with mistakes.noted():
        _check_relations(job.config, plan.model_config, job.model_config)
    with mistakes.noted():
        _check_start(job, plan)
    mistakes.tell()


def _check_fills_a_sequence(job: OpenedJob[PretrainJob]) -> None:
    task, lengths = job.config.task, job.task.split("train").lengths()
    if task.packed and lengths[0][0] < task.max_source_tokens:
        raise UserError(
            f"training texts of {lengths[0][0]:,} tokens altogether, the special ones of a sequence among them",
            f"enough for one sequence of task.max_source_tokens={task.max_source_tokens}",
            "add texts, or lower task.max_source_tokens",
        )


def _check_hidden(config: PretrainJob, small: PretrainedConfig, teacher: PretrainedConfig) -> None:
    if not config.pretraining.hidden:
        return
    if small.hidden_size != teacher.hidden_size:
        raise UserError(
            f"pretraining.hidden={config.pretraining.hidden:g} for a width of {small.hidden_size} and a teacher's of "
            f"{teacher.hidden_size}: their hidden states cannot be compared",
            "the teacher's width, or 0; relations compare models of any width",
            f"set pretraining.hidden=0, or pretraining.architecture.d_model={teacher.hidden_size}",
        )
    try:
        layer_map(teacher.num_hidden_layers, small.num_hidden_layers)
    except UserError as error:
        raise UserError(
            f"pretraining.hidden={config.pretraining.hidden:g}: {error.given}",
            error.allowed,
            "set pretraining.hidden=0 or pretraining.architecture.encoder_layers",
        ) from None


def _check_relations(config: PretrainJob, small: PretrainedConfig, teacher: PretrainedConfig) -> None:
    of = config.pretraining
    heads = of.relation_heads or teacher.num_attention_heads
    widths = (small.hidden_size, teacher.hidden_size)
    if of.relations and any(width % heads for width in widths):
        raise UserError(
            f"pretraining.relations={of.relations:g}: {heads} relation heads for widths of {widths[0]} and {widths[1]}",
            "relation heads that divide the width of the small model and that of the teacher",
            "set pretraining.relation_heads, or pretraining.relations=0",
        )


def _check_start(job: OpenedJob[PretrainJob], plan: PretrainPlan) -> None:
    """Logits are compared token by token, so both number the same tokens in the same way."""
    if not plan.model.pretrained:
        return
    tokenizer, name = job.task.tokenizer(), job.config.pretraining.start
    theirs = load_tokenizer(plan.model)
    assert theirs is not None, "it is named"
    mine, others = tokenizer.get_vocab(), theirs.get_vocab()
    if mine != others or plan.model_config.vocab_size != job.model_config.vocab_size:
        number = sum(mine.get(token) == place for token, place in others.items())
        raise UserError(
            f"the teacher has {job.model_config.vocab_size:,} tokens, pretraining.start={name} "
            f"{plan.model_config.vocab_size:,}, of which {number:,} are the same",
            "one vocabulary for both",
            "set model.pretrained or model.tokenizer to what has the tokens of pretraining.start, or leave that out",
        )
    drawn = check_checkpoint(plan.model, tokenizer, KIND).drawn
    if drawn:
        log.warning(f"'{name}' has no head of a {KIND} ({drawn[0]}): it starts from scratch")
