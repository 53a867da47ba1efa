"""What the test split says of the best candidate: looked at once, at the end."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.cluster.ray_train import run_workers
from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.export.package import file_bytes, load_package
from pipeline.stages.agora.plan import AgoraPlan
from pipeline.stages.evaluate import PREDICTIONS, evaluate_examples, evaluation_examples, write_predictions
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.training import worker_device
from pipeline.storage.atomic import atomic_json
from pipeline.storage.sealed import is_whole, sealed_folder
from pipeline.training.collective import barrier, rank

SCORE = "score.json"


@dataclass(frozen=True, kw_only=True)
class FinalScore:
    """The best candidate.

    Args:
        name: of the candidate.
        package: its folder.
        size_bytes: of its weights.
        scores: on the test split, with the interval of the headline.
    """

    name: str
    package: str
    size_bytes: int
    scores: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class ScoreWork:
    """What the workers that score a candidate are sent."""

    config: AgoraJob
    task: PreparedTask
    candidate: StudentPlan
    folder: Path


def score_finally(plan: AgoraPlan, candidate: StudentPlan) -> FinalScore:
    """Scores of a candidate's package on the whole test split, or those that were written down.

    Args:
        plan: says which task.
        candidate: the best of all rounds.
    """
    config = plan.job.config
    folder = candidate.folder / f"test-{config.evaluation.max_examples or 'all'}"
    if not is_whole(folder, "the candidate is scored again"):
        work = ScoreWork(config=config, task=plan.job.task, candidate=candidate, folder=folder)
        run_workers(
            write_score, work, config.cluster, name=f"score-{candidate.key}", storage_path=plan.job.storage.root / "ray"
        )
    return FinalScore(**json.loads((folder / SCORE).read_text()))


def write_score(work: ScoreWork) -> None:
    """Worker: score the package; rank 0 writes down what it said and how good that is."""
    config, candidate = work.config, work.candidate
    model, _ = load_package(candidate.packed_folder)
    examples = evaluation_examples(work.task, config)
    scores, said = evaluate_examples(
        model.to(worker_device(config.cluster)), work.task.tokenizer(), examples, config, work.task.labels
    )
    if rank() == 0:
        final = FinalScore(
            name=candidate.name,
            package=str(candidate.packed_folder),
            size_bytes=file_bytes(candidate.packed_folder),
            scores=scores,
        )
        with sealed_folder(work.folder) as partial:
            write_predictions(partial / PREDICTIONS, examples, said)
            atomic_json(partial / SCORE, asdict(final))
    barrier()
