"""Stage: a trained student's graphs beside its package: their bytes, how far they are from torch, what answers."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import torch

from pipeline.config.errors import UserError
from pipeline.config.sections.export import AS_TRAINED
from pipeline.data.batches import generation_batches
from pipeline.evaluation.gathered import gathered
from pipeline.evaluation.metrics import score_texts
from pipeline.export.onnx.export_once import exported_anew
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.runtime.manifest import model_bytes
from pipeline.serving.logged_models import EXPORTED
from pipeline.stages.evaluate import references_of
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.score import Evaluation
from pipeline.training.collective import gather_objects, rank, world_size

PREFIX = "onnx_"  # of the metrics of graphs

log = logging.getLogger(__name__)


def export_folder(packed: Path) -> Path:
    """Where the graphs of a student's package lie."""
    return packed.with_name(EXPORTED)


def export_student(plan: StudentPlan, evaluation: Evaluation) -> tuple[OnnxAnswerer | None, dict[str, float]]:
    """Export a student of a sweep; one that cannot be exported loses nothing else, and is told why.

    Args:
        plan: the student, whose package is there.
        evaluation: its teacher, whose bytes are compared with its own.

    Returns:
        what answers from the graphs, with as many threads as torch, and metrics of size and parity; none and nothing.
    """
    folder = export_folder(plan.packed_folder)
    try:
        info = exported_anew(plan.packed_folder, folder, AS_TRAINED)
        answerer = OnnxAnswerer(folder, num_threads=torch.get_num_threads())
    except Exception as error:  # onnx and onnxruntime have errors of their own, and the scores are worth more
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        log.warning(f"student {plan.name} has no ONNX form and is served from torch: {reason}")
        shutil.rmtree(folder, ignore_errors=True)  # what does not load is not served
        return None, {}
    size_bytes = model_bytes(folder)
    return answerer, {
        PREFIX + "size_bytes": float(size_bytes),
        PREFIX + "size_ratio": evaluation.teacher_result.size_bytes / size_bytes,
        "parity_error": info.parity.logits_error,
        "parity_floor": info.parity.floor,
        "parity_same_choices": info.parity.same_choices,
    }


def exported_scores(plan: StudentPlan, evaluation: Evaluation, predictions: list[str]) -> dict[str, float]:
    """Scores of what the graphs say about examples, and how often it is what torch says; every rank calls it.

    Args:
        plan: the student beside whose package the graphs lie.
        evaluation: the examples.
        predictions: of the same student in torch.

    Returns:
        the task's metrics with `onnx_` before their names, and `onnx_same_predictions`; nothing if nobody wants them,
        or without graphs.
    """
    folder, config, examples = export_folder(plan.packed_folder), evaluation.config, evaluation.examples
    # Worker 0 has made the folder; what another one's view of shared storage says could leave the others waiting.
    if not config.evaluation.score_exported or not gather_objects(folder.is_dir())[0]:
        return {}
    answerer = OnnxAnswerer(folder, num_threads=torch.get_num_threads(), check=False)
    batches = generation_batches(examples["source_tokens"][:], config.evaluation.batch_tokens, world_size())[rank()]
    found: dict[int, str] = {}
    for rows in batches:
        batch = examples[rows]
        answers = answerer.answer_batch(batch["input_ids"], batch.get("token_type_ids"), config.task.decoding)
        found |= dict(zip(rows, answers, strict=True))
    said = gathered(found, len(examples), gather_objects)
    task, references = config.task, references_of(examples)
    scores = score_texts(task.metric, said, references, intervals=False, tokenizer=task.metric_tokenizer)
    same = sum(ours == theirs for ours, theirs in zip(said, predictions, strict=True)) / len(said)
    return {**{PREFIX + name: value for name, value in scores.items()}, PREFIX + "same_predictions": same}
