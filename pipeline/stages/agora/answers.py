"""What the teacher or a candidate says of texts, how sure the teacher is, and where the texts lie: asked once, kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from pipeline.augmentation.examples import TextExample
from pipeline.cluster.ray_train import run_workers
from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.data.tokenise import tokenised_sources, with_targets
from pipeline.evaluation.generate import generate_split
from pipeline.evaluation.predict import mean_states, predict_labels, target_probabilities
from pipeline.export.package import load_package
from pipeline.models.load import load_model
from pipeline.stages.agora.plan import AgoraPlan, digest_of
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.training import worker_device
from pipeline.storage.atomic import atomic_json
from pipeline.storage.sealed import check_folder, is_whole, sealed_folder
from pipeline.training.collective import barrier, gather_objects, rank, world_size

ANSWERS, STATES = "answers.json", "states.npy"


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a model says of texts, in their order.

    Args:
        texts: a label or a text of each.
        confidences: probability that the model gives to it; empty of a candidate.
        states: (texts, width) mean encoder states in fp32; nothing of a candidate.
    """

    texts: list[str]
    confidences: list[float]
    states: np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, kw_only=True)
class AnswersWork:
    """What the workers that ask a model are sent.

    Args:
        config: the job.
        task: its data.
        model_folder: of a teacher, or of a candidate's package.
        is_teacher: whether it is the teacher: then confidences and states are wanted.
        sources: folder of the tokenised texts.
        folder: where answers are to lie.
    """

    config: AgoraJob
    task: PreparedTask
    model_folder: Path
    is_teacher: bool
    sources: Path
    folder: Path


def answers_of(
    plan: AgoraPlan, model_folder: Path, model_key: str, examples: Sequence[TextExample], *, is_teacher: bool
) -> Answers:
    """Ask a model about texts, or find what it has said of just these before.

    Args:
        plan: says which task.
        model_folder: of the teacher, or of a candidate's package.
        model_key: of the model.
        examples: the texts.
        is_teacher: whether confidences and states are wanted, too.
    """
    if not examples:
        return Answers(texts=[], confidences=[], states=np.zeros((0, 1), dtype=np.float32))
    job, name = plan.job, f"{model_key}-{digest_of([replace(one, target=None) for one in examples])}"
    folder, sources = plan.shared_folder / "answers" / name, job.storage.cache / "sources" / name
    if not is_whole(folder, "the model is asked again"):
        columns = [one.source for one in examples], [one.second or "" for one in examples]
        has_pairs = examples[0].second is not None
        tokens = tokenised_sources(columns[0], columns[1] if has_pairs else None, job.task.tokenizer(), job.config.task)
        with sealed_folder(sources) as partial:
            tokens.save_to_disk(str(partial))
        work = AnswersWork(
            config=job.config,
            task=job.task,
            model_folder=model_folder,
            is_teacher=is_teacher,
            sources=sources,
            folder=folder,
        )
        run_workers(
            write_answers, work, job.config.cluster, name=f"answers-{name}", storage_path=job.storage.root / "ray"
        )
        shutil.rmtree(sources, ignore_errors=True)
    found = json.loads((folder / ANSWERS).read_text())
    states = np.load(folder / STATES) if is_teacher else np.zeros((len(examples), 1), dtype=np.float32)
    return Answers(texts=found["texts"], confidences=found["confidences"], states=states)


def write_answers(work: AnswersWork) -> None:
    """Worker: answers to this rank's share; rank 0 writes them."""
    config, device = work.config, worker_device(work.config.cluster)
    check_folder(work.sources)
    examples = datasets.load_from_disk(str(work.sources))
    model = load_model(work.model_folder, device) if work.is_teacher else load_package(work.model_folder)[0].to(device)
    shares: dict[str, Any] = {"rank": rank(), "num_ranks": world_size(), "gather": gather_objects}
    shares["batch_tokens"] = config.evaluation.batch_tokens
    if config.task.facts.generates:
        texts = generate_split(model, work.task.tokenizer(), examples, config.task.decoding, **shares)
    else:
        texts = predict_labels(model, examples, work.task.labels, **shares)
    confidences, states = [], None
    if work.is_teacher:
        confidences = target_probabilities(model, _with_answers(work, examples, texts), **shares)
        states = mean_states(model, examples, **shares).numpy()
    if rank() == 0:
        with sealed_folder(work.folder) as partial:
            if states is not None:
                np.save(partial / STATES, states)
            atomic_json(partial / ANSWERS, {"texts": texts, "confidences": confidences})
    barrier()


def _with_answers(work: AnswersWork, examples: datasets.Dataset, texts: list[str]) -> datasets.Dataset:
    """The examples with what was said as their targets."""
    if work.config.task.facts.generates:
        bare = examples.remove_columns(["source_cut"]).add_column("target_tokens", [1] * len(examples))
        return with_targets(bare, texts, work.task.tokenizer(), work.config.task)
    labels = [[work.task.labels.index(text)] for text in texts]
    return (
        examples.remove_columns(["labels"]).add_column("labels", labels).add_column("target_tokens", [1] * len(texts))
    )
