"""What a student says and how good and how large it is. Scored is the package on disk, not what was trained."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import datasets

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.evaluation.metrics import HEADLINES
from pipeline.export.package import PackageInfo, file_bytes, load_package
from pipeline.models.student import meta_model, sites_of
from pipeline.pruning.removal import remove_heads
from pipeline.quantization.footprint import paper_bytes
from pipeline.quantization.scheme import NOT_QUANTIZED
from pipeline.stages.evaluate import PREDICTIONS, evaluate_examples, write_predictions
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.tracking.run import Run
from pipeline.training.collective import rank

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What the students of a cohort are evaluated on, and beside whom.

    Args:
        config: the job.
        examples: tokenised, of the split that is reported.
        labels: of a classification task.
        tokenizer: the task's.
        teacher: on this worker's device.
        teacher_result: its scores and bytes.
    """

    config: SweepJob
    examples: datasets.Dataset
    labels: list[str]
    tokenizer: PreTrainedTokenizerBase
    teacher: PreTrainedModel
    teacher_result: TeacherResult


@dataclass(frozen=True, kw_only=True)
class ScoredStudent:
    """A package and what it said.

    Args:
        model: the package, loaded.
        predictions: a text or a label of every example.
        metrics: scores of the reported split, and sizes.
    """

    model: PreTrainedModel
    predictions: list[str]
    metrics: dict[str, float]


def score_student(plan: StudentPlan, evaluation: Evaluation) -> ScoredStudent:
    """Load a student's package and score it; every rank calls it and gets the same, rank 0 says it aloud."""
    config = evaluation.config
    model, info = load_package(plan.packed_folder)
    model = model.to(evaluation.teacher.device)
    scores, predictions = evaluate_examples(model, evaluation.tokenizer, evaluation.examples, config, evaluation.labels)
    best, size_bytes = HEADLINES[config.task.metric], file_bytes(plan.packed_folder)
    if rank() == 0:
        log.info(f"student {plan.name}: {best} {scores[best]:.2f}, {size_bytes} bytes")
    metrics = {f"{config.evaluation.split}_{name}": value for name, value in scores.items()} | {
        "size_bytes": float(size_bytes),
        "size_ratio": evaluation.teacher_result.size_bytes / size_bytes,
        f"{best}_lost": evaluation.teacher_result.scores[best] - scores[best],
    }
    metrics |= _sizes_in_papers(info, model.config, evaluation.teacher.config)
    return ScoredStudent(model=model, predictions=predictions, metrics=metrics)


def record_student(plan: StudentPlan, scored: ScoredStudent, evaluation: Evaluation, run: Run) -> None:
    """Keep what a student said in its folder and in its run; the first predictions beside sources and references."""
    file, examples, num = plan.folder / PREDICTIONS, evaluation.examples, evaluation.config.evaluation.num_samples
    write_predictions(file, examples, scored.predictions)
    run.artifacts(file)
    few = examples.select(range(min(num, len(examples))))
    columns = {"source": few["source"][:], "reference": few["target"][:]}
    run.table({**columns, "prediction": scored.predictions[: len(few)]}, "samples.json")


def _sizes_in_papers(info: PackageInfo, student: PretrainedConfig, teacher: PretrainedConfig) -> dict[str, float]:
    """The papers' formula, which knows one number of bits for all linear layers; nothing where there are several."""
    scheme = info.scheme
    if scheme.quantization.bits:
        return {}
    head_bits = scheme.embedding_bits if scheme.quantization.lm_head else NOT_QUANTIZED
    num_bytes = _size_in_papers(student, info.heads, scheme.weight_bits, scheme.embedding_bits, head_bits)
    ratio = _size_in_papers(teacher, {}, NOT_QUANTIZED, NOT_QUANTIZED, NOT_QUANTIZED) / num_bytes
    return {"paper_bytes": num_bytes, "paper_ratio": ratio}


def _size_in_papers(model_config: PretrainedConfig, heads: dict[str, list[int]], *bits: float) -> float:
    model = meta_model(model_config)
    remove_heads(model, sites_of(model), heads)
    return paper_bytes(model, sites_of(model), *bits)
