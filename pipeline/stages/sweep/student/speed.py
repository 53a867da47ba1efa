"""Stage: a student's times, in torch and in ONNX Runtime, beside its teacher's, on the worker that has them."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch

from pipeline.config.sections.task import DecodingConfig
from pipeline.data.batch import model_columns
from pipeline.evaluation.latency import (
    BATCH_EXAMPLES,
    Rows,
    Run,
    classification_run,
    first_batch,
    generation_run,
    measure_side_by_side,
)
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.stages.sweep.student.score import Evaluation

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)


def speed_metrics(student: PreTrainedModel, exported: OnnxAnswerer | None, evaluation: Evaluation) -> dict[str, float]:
    """Absolute times of all and their ratios (above 1: the student is faster); nothing if none are wanted.

    Args:
        student: in torch.
        exported: the student's graphs; timed where the others run on the CPU, too.
        evaluation: the teacher in torch, the examples, and on how many of them.
    """
    config, examples, teacher = evaluation.config, evaluation.examples, evaluation.teacher
    num_single, batch_tokens = config.evaluation.latency_examples, config.evaluation.batch_tokens
    if not num_single:
        return {}
    few = model_columns(examples.select(range(min(max(num_single, BATCH_EXAMPLES), len(examples))))).to_list()
    models, pad_id = {"student": student, "teacher": teacher}, evaluation.tokenizer.pad_token_id
    if config.task.facts.generates:
        runs = {name: generation_run(model, pad_id, config.task.decoding) for name, model in models.items()}
    else:
        runs = {name: classification_run(model, pad_id) for name, model in models.items()}
    if exported is not None and teacher.device.type == "cpu":
        runs["onnx"] = exported_run(exported, config.task.decoding)
    try:
        speeds = measure_side_by_side(runs, few, num_single, batch_tokens)
    except torch.OutOfMemoryError as error:  # the scores are worth more than the times
        log.warning(f"no times: {error}; set evaluation.batch_tokens or latency_examples lower")
        return {}
    mine, theirs = speeds["student"], speeds["teacher"]
    graphs: dict[str, float] = {}
    if (onnx := speeds.get("onnx")) is not None:
        graphs = {f"onnx_{name}": value for name, value in asdict(onnx).items()}
        graphs["onnx_speed_ratio"] = theirs.latency_p50_ms / onnx.latency_p50_ms
    return {
        **asdict(mine),
        **graphs,
        **{f"teacher_{name}": value for name, value in asdict(theirs).items()},
        "speed_ratio": theirs.latency_p50_ms / mine.latency_p50_ms,
        "throughput_ratio": mine.tokens_per_second / theirs.tokens_per_second,
        "latency_threads": float(torch.get_num_threads()),
        "latency_batch_examples": float(len(first_batch(few, batch_tokens))),
    }


def exported_run(exported: OnnxAnswerer, decoding: DecodingConfig) -> Run:
    """A student's graphs doing what the models in torch do: generating as the task decodes, or one forward pass."""

    def run(examples: Rows) -> int:
        sources = [list(row["input_ids"]) for row in examples]
        if exported.labels is None:
            return sum(len(ids) - 1 for ids in exported.generate_ids(sources, decoding))  # the first token is given
        types = [list(row["token_type_ids"]) for row in examples] if "token_type_ids" in examples[0] else None
        exported.model.classify(sources, types).argmax(axis=-1).tolist()
        return sum(map(len, sources))

    return run
