"""What the workers of a round do: train candidates on one teacher pass, pack and score them on the development set."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.config.load import to_yaml
from pipeline.config.sections.training import TrainConfig
from pipeline.data.tokenise import load_tokenised
from pipeline.evaluation.metrics import HEADLINES
from pipeline.export.package import file_bytes, load_package
from pipeline.models.load import load_model, load_teacher
from pipeline.stages.agora.development import development_examples
from pipeline.stages.agora.plan import with_training
from pipeline.stages.evaluate import PREDICTIONS, evaluate_examples, write_predictions
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.runs import common_params, common_tags, start_run
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.objectives import teacher_pass
from pipeline.stages.sweep.student.pack import pack_student
from pipeline.stages.sweep.student.start import student_learner
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.stages.training import num_training_steps, train_with_checkpoints, training_batches, worker_device
from pipeline.storage.digests import sha256_of
from pipeline.storage.sealed_json import sealed_json
from pipeline.tracking.run import NoOpRun, Run
from pipeline.tracking.tracker import RunSpec
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.collective import barrier, rank

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RESULT = "result.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A candidate and the training of its hyper-parameter set."""

    plan: StudentPlan
    train: TrainConfig

    @property
    def is_done(self) -> bool:
        """Whether its score on the development set is written down, or that it failed."""
        return (self.plan.folder / RESULT).is_file()


@dataclass(frozen=True, kw_only=True)
class FitWork:
    """What the workers that train candidates are sent.

    Args:
        config: the job.
        task: its data.
        name: of the cohort, for people.
        teacher_result: the fine-tuned teacher.
        start: folder that candidates are cut from; none: the teacher.
        candidates: they share batches, so batch tokens and seed.
        training_tokens: folder of the split that they learn from.
        already_done: keys of those that take part only because their cohort goes on from a checkpoint.
        is_contaminated: whether points of the development set are among what they learn from.
        checkpoints: folder of their checkpoints.
        parent_run_id: run of the job.
    """

    config: AgoraJob
    task: PreparedTask
    name: str
    teacher_result: TeacherResult
    start: Path | None
    candidates: list[Candidate]
    training_tokens: Path
    already_done: frozenset[str]
    is_contaminated: bool
    checkpoints: Path
    parent_run_id: str


def fit_candidates(work: FitWork) -> None:
    """Worker: train this rank's share of a cohort; rank 0 writes packages, predictions and scores."""
    config, candidates, train = work.config, work.candidates, work.candidates[0].train
    tokenizer, device = work.task.tokenizer(), worker_device(config.cluster)
    teacher = load_model(Path(work.teacher_result.folder), device)
    origin = None if work.start is None else _origin(work, work.start, tokenizer).to(device)
    split, seed = load_tokenised(work.training_tokens, "train"), candidates[0].plan.seed
    batches, unsharded = (
        training_batches(split, train, config, tokenizer, teacher.config, seed, sharded) for sharded in (True, False)
    )
    num_steps = num_training_steps(batches, train)
    with ExitStack() as stack:
        runs = [stack.enter_context(_run_of(one, work)) for one in candidates]
        learners = [
            student_learner(
                one.plan,
                teacher,
                with_training(config, one.train),
                listener=run,
                unsharded_batches=unsharded,
                num_steps=num_steps,
                origin=origin,
            )
            for one, run in zip(candidates, runs, strict=True)
        ]
        train_with_checkpoints(
            learners,
            batches,
            num_steps,
            train,
            stage=work.name,
            folder=work.checkpoints,
            device=device,
            teacher_pass=teacher_pass(teacher, [learner.objective for learner in learners], config.cluster.precision),
        )
        for one, learner, run in zip(candidates, learners, runs, strict=True):
            if one.plan.key in work.already_done:
                continue
            pack_student(one.plan, learner, origin or teacher, tokenizer, config.task)
            _finish(one.plan, work, learner.failure, run, num_steps)
    Checkpointer(work.checkpoints).clear()


def _origin(work: FitWork, start: Path, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The small model that candidates are cut from, its head from scratch where it has none."""
    config = work.config
    model = replace(config.model, pretrained=str(start), family=None, tokenizer=None)
    loaded = load_teacher(model, tokenizer, config.task, config.seed, work.task.labels)
    return loaded.requires_grad_(False).eval()


def _finish(plan: StudentPlan, work: FitWork, failure: str | None, run: Run, num_steps: int) -> None:
    """Score the package on disk on the development set; every rank calls it."""
    config, score = work.config, None
    if failure is None:
        model, _ = load_package(plan.packed_folder)
        examples = development_examples(work.task, config)
        model = model.to(worker_device(config.cluster))
        scores, said = evaluate_examples(
            model, work.task.tokenizer(), examples, config, work.task.labels, intervals=False
        )
        score = scores[HEADLINES[config.task.metric]]
        marked = {f"development_{name}": value for name, value in scores.items()}
        run.metrics({**marked, "size_bytes": float(file_bytes(plan.packed_folder))}, num_steps)
        if rank() == 0:
            write_predictions(plan.folder / PREDICTIONS, examples, said)
            run.artifacts(plan.folder / PREDICTIONS)
    elif rank() == 0:
        log.error(f"candidate {plan.name} FAILED: {failure}")
    if rank() == 0:
        plan.folder.mkdir(parents=True, exist_ok=True)
        said_by_it = sha256_of(plan.folder / PREDICTIONS) if failure is None else None
        result = {"name": plan.name, "score": score, "failure": failure, "predictions": said_by_it}
        sealed_json(plan.folder / RESULT, result)
    barrier()


def _run_of(candidate: Candidate, work: FitWork) -> Run:
    config, plan = work.config, candidate.plan
    if plan.key in work.already_done:
        return NoOpRun()
    spec = RunSpec(
        name=plan.name,
        key=plan.key,
        kind="candidate",
        parent_run_id=work.parent_run_id,
        params={
            **common_params(with_training(config, candidate.train), without=("agora", "teacher")),
            **{name: value for name, value in asdict(plan.config).items() if value is not None},
            "seed": plan.seed,
        },
        config=to_yaml(config),
        tags={
            "dq.data": work.task.fingerprint,
            **common_tags(config),
            "dq.teacher_run": work.teacher_result.run_id or "",
            "dq.contaminated": str(work.is_contaminated).lower(),
        },
    )
    return start_run(config, spec)
