"""Stage: the teacher writes training targets, once for all sweeps; workers share the examples."""

from __future__ import annotations

import logging
import shutil
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import datasets

from pipeline.cluster.ray_train import run_workers
from pipeline.config.jobs import DistilsStudents
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.recipe import SequenceConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.console.progress import ProgressBar
from pipeline.data.tokenise import with_targets
from pipeline.distillation.pseudo_labels import Target, choose_target
from pipeline.evaluation.generate import generate_candidates
from pipeline.models.load import load_model
from pipeline.stages.job import OpenedJob
from pipeline.stages.prepare_data import PreparedTask, key_of
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.stages.training import worker_device
from pipeline.storage.atomic import atomic_json
from pipeline.storage.sealed import is_whole, sealed_folder
from pipeline.storage.sealed_json import found_json, read_sealed_json, sealed_json
from pipeline.training.collective import barrier, gather_objects, in_shares, rank, world_size

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHUNK_EXAMPLES = 4096  # what an interrupted job may lose

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PseudoLabelsWork:
    """What the workers that write targets are sent.

    Args:
        config: the job.
        task: its data.
        settings: which of the teacher's texts become targets.
        teacher_folder: the teacher's weights.
        folder: where the split with its targets is to lie.
    """

    config: DistilsStudents
    task: PreparedTask
    settings: SequenceConfig
    teacher_folder: Path
    folder: Path


def run(job: OpenedJob[DistilsStudents], teacher: TeacherResult, settings: SequenceConfig) -> Path:
    """The folder of tokenised splits to train on: the task's own, or one with the teacher's targets.

    Raises:
        UserError: whatever the cluster lacks.
    """
    if settings.kind == "none":
        return Path(job.task.tokens_folder)
    parts = (
        teacher.key,
        key_of(job.task.tokens_folder),
        decisions(settings),
        decisions(job.config.task.decoding),
        (job.config.task.metric, job.config.task.metric_tokenizer),
    )
    folder = job.storage.cache / "pseudo_labels" / config_hash(*parts)
    if is_whole(folder / "train", "the teacher writes them again"):
        log.info(f"pseudo-labels: found in {folder}")
        return folder
    work = PseudoLabelsWork(
        config=job.config,
        task=job.task,
        settings=settings,
        teacher_folder=Path(teacher.folder),
        folder=folder,
    )
    run_workers(
        write_pseudo_labels,
        work,
        job.config.cluster,
        name=f"pseudo-labels-{folder.name}",
        storage_path=job.storage.root / "ray",
    )
    return folder


def write_pseudo_labels(work: PseudoLabelsWork) -> None:
    """Worker: targets for this rank's share of every chunk; rank 0 writes them, then the split."""
    config, settings, folder = work.config, work.settings, work.folder
    tokenizer, examples = work.task.tokenizer(), work.task.split("train").examples
    model = load_model(work.teacher_folder, worker_device(config.cluster))
    decoding = replace(config.task.decoding, num_beams=settings.num_beams)
    num_candidates = settings.num_beams if settings.kind == "interpolated" else 1
    chunks = {folder / "chunks" / f"{start:09d}.json": start for start in range(0, len(examples), CHUNK_EXAMPLES)}
    bar = ProgressBar("pseudo-labels", len(chunks), shown=rank() == 0)
    # Rank 0 decides for all: another job may write the same chunks meanwhile.
    missing = gather_objects(_missing(chunks) if rank() == 0 else None)[0]
    for index, (path, start) in enumerate(chunks.items()):
        if str(path) in missing:
            chunk = examples.select(range(start, min(start + CHUNK_EXAMPLES, len(examples))))
            candidates = generate_candidates(
                model,
                tokenizer,
                chunk,
                decoding,
                num_candidates=num_candidates,
                batch_tokens=config.evaluation.batch_tokens,
                rank=rank(),
                num_ranks=world_size(),
                gather=gather_objects,
            )
            targets = _choose(candidates, chunk["target"][:], settings, config.task)
            if rank() == 0:
                sealed_json(path, [asdict(target) for target in targets])
        bar.update(index + 1)
    bar.close()
    if rank() == 0:
        entries = [entry for path in chunks for entry in read_sealed_json(path)]
        _write_split([Target(**entry) for entry in entries], examples, tokenizer, config, folder)
        shutil.rmtree(folder / "chunks", ignore_errors=True)
    barrier()


def _missing(chunks: Iterable[Path]) -> list[str]:
    """Those that are not there, or not whole."""
    return [str(path) for path in chunks if found_json(path, "it is written again") is None]


def _choose(
    candidates: list[list[str]], references: list[str], settings: SequenceConfig, task: TaskConfig
) -> list[Target]:
    """The targets of a chunk, in its order; each rank compares its share."""

    def chosen(share: list[tuple[list[str], str]]) -> list[Target]:
        return [choose_target(texts, one, settings, task.metric, task.metric_tokenizer) for texts, one in share]

    return in_shares(list(zip(candidates, references, strict=True)), chosen)


def _write_split(
    targets: list[Target],
    examples: datasets.Dataset,
    tokenizer: PreTrainedTokenizerBase,
    config: DistilsStudents,
    folder: Path,
) -> None:
    texts = [target.text for target in targets]
    with sealed_folder(folder / "train") as partial:
        with_targets(examples, texts, tokenizer, config.task).save_to_disk(str(partial))
    near = [target.similarity for target in targets if target.by_teacher]
    share = len(near) / max(1, len(targets))
    log.info(f"pseudo-labels: {share:.1%} by the teacher, {statistics.fmean(near or [0.0]):.1f} % like the references")
    atomic_json(folder / "summary.json", {"by_teacher": share, "similarity": statistics.fmean(near or [0.0])})
