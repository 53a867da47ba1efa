"""Stage: which attention heads a student keeps, decided before its training and written down once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pipeline.cluster.ray_train import run_workers
from pipeline.config.jobs import DistilsStudents
from pipeline.data.batch import Batch
from pipeline.data.batches import TrainingBatches
from pipeline.data.tokenise import load_tokenised
from pipeline.distillation.losses import cross_entropy_sum
from pipeline.models.forward import position_logits
from pipeline.models.load import load_model
from pipeline.models.student import build_student, sites_of
from pipeline.pruning.gates import HeadGates
from pipeline.pruning.heads import count_heads
from pipeline.pruning.importance import head_importance, heads_to_keep
from pipeline.pruning.removal import remove_heads
from pipeline.stages.job import OpenedJob
from pipeline.stages.prepare_data import PreparedTask
from pipeline.stages.sweep.plan.students import StudentPlan
from pipeline.stages.sweep.student.objectives import objective_of, teacher_pass
from pipeline.stages.sweep.student.start_folder import has_heads, write_failure, write_start
from pipeline.stages.teacher.finished import TeacherResult
from pipeline.stages.training import (
    make_engine,
    num_training_steps,
    train_with_checkpoints,
    training_batches,
    worker_device,
)
from pipeline.tracking.run import NoOpRun
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.collective import barrier, rank
from pipeline.training.engine import Engine
from pipeline.training.loop import Learner, Objective, TokenCounts
from pipeline.training.optim import make_schedule
from pipeline.training.random_stream import RandomStream

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PruningWork:
    """What the workers that choose a student's heads are sent.

    Args:
        config: the job.
        task: its data.
        student: whose heads.
        teacher_folder: the teacher's weights.
        training_tokens: folder of the split that the student is trained on.
    """

    config: DistilsStudents
    task: PreparedTask
    student: StudentPlan
    teacher_folder: Path
    training_tokens: Path


def run(job: OpenedJob[DistilsStudents], teacher: TeacherResult, plan: StudentPlan, training_tokens: Path) -> None:
    """Choose the heads of a student that does not keep all, or find them chosen."""
    if plan.config.heads == 1 or has_heads(plan.start_folder):
        return
    work = PruningWork(
        config=job.config,
        task=job.task,
        student=plan,
        teacher_folder=Path(teacher.folder),
        training_tokens=training_tokens,
    )
    run_workers(choose_heads, work, job.config.cluster, name=f"heads-{plan.key}", storage_path=job.storage.root / "ray")


def choose_heads(work: PruningWork) -> None:
    """Worker: importance on rank 0, or gates trained by all ranks; rank 0 writes the folder."""
    config, plan = work.config, work.student
    device, tokenizer = worker_device(config.cluster), work.task.tokenizer()
    teacher = load_model(work.teacher_folder, device)
    split = load_tokenised(work.training_tokens, "train")
    batches = training_batches(split, config.student, config, tokenizer, teacher.config, plan.seed)
    student = _unpruned(plan, teacher).to(device)
    if plan.recipe.pruning.method == "gates":
        gated, failure = _train_gates(config, plan, student, teacher, batches)
        if failure is not None:
            if rank() == 0:
                write_failure(plan.start_folder, failure)
        elif gated is not None:
            kept = gated.head_gates.kept(plan.config.heads)
            gated.head_gates.fold(gated)
            remove_heads(gated, sites_of(gated), kept)
            _write(plan, kept, dict(gated.named_parameters()))
    elif rank() == 0:
        _write(plan, _most_important(plan, student, batches), {})
    barrier()


def _unpruned(plan: StudentPlan, teacher: PreTrainedModel) -> PreTrainedModel:
    """The student with all its heads, in full precision."""
    return build_student(teacher, plan.encoder_map, plan.decoder_map, plan.dropout)


def _gates_folder(plan: StudentPlan) -> Path:
    """Where the checkpoints of its gates lie."""
    return plan.folder / "gates"


def _write(plan: StudentPlan, kept: dict[str, list[int]], weights: dict[str, Tensor]) -> None:
    write_start(plan.start_folder, kept, weights)
    log.info(f"student {plan.name}: keeps {sum(map(len, kept.values()))} heads")


def _most_important(plan: StudentPlan, student: PreTrainedModel, batches: TrainingBatches) -> dict[str, list[int]]:
    """The heads that the task loss depends on most, on the first examples of rank 0."""

    def examples() -> Iterator[Batch]:
        seen = 0
        for micro_batches in batches.steps(0):
            for batch in micro_batches:
                if seen >= plan.recipe.pruning.num_examples:
                    return
                seen += len(batch.labels)
                yield batch.to(student.device)

    def loss_of(batch: Batch) -> Tensor:
        return cross_entropy_sum(position_logits(student(**batch.inputs)), batch.labels)

    return heads_to_keep(head_importance(student, sites_of(student), examples(), loss_of), plan.config.heads)


@dataclass(frozen=True, kw_only=True)
class GatedObjective:
    """A student's objective plus the expected part of open gates."""

    inner: Objective
    gates: HeadGates
    num_heads: int
    penalty: float

    @property
    def needs_teacher(self) -> bool:
        """See `training.loop.Objective`."""
        return self.inner.needs_teacher

    def __call__(self, engine: Engine, batch: Batch, signals: Any, counts: TokenCounts) -> dict[str, Tensor]:
        """See `training.loop.Objective`."""
        terms = self.inner(engine, batch, signals, counts)
        if self.penalty == 0:
            return terms
        # Micro-batches and ranks add up; a filler counts nothing.
        share = self.penalty / counts.num_micro_batches if batch.num_target_tokens else 0.0
        return {**terms, "gates_loss": share * self.gates.penalty() / self.num_heads}

    def weight(self, term: str) -> float:
        """See `training.loop.Objective`."""
        return self.penalty if term == "gates_loss" else self.inner.weight(term)


def _train_gates(
    config: DistilsStudents,
    plan: StudentPlan,
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    batches: TrainingBatches,
) -> tuple[PreTrainedModel | None, str | None]:
    """Train gates and weights together in full precision.

    Returns:
        on rank 0 a whole copy of the student with its gates, and why it failed if it did.
    """
    pruning, train = plan.recipe.pruning, config.student
    num_steps = min(pruning.num_steps, num_training_steps(batches, train))
    objective = _gated_objective(config, plan, student, teacher)
    learner = Learner(
        name=f"{plan.name} gates",
        engine=make_engine(student.train(), train, config.cluster),
        objective=objective,
        learning_rate=make_schedule(train, num_steps, plan.learning_rate),
        listener=NoOpRun(),
        random=RandomStream(plan.seed + rank(), student.device),
    )
    checkpoints = _gates_folder(plan)
    train_with_checkpoints(
        [learner],
        batches,
        num_steps,
        train,
        stage="gates",
        folder=checkpoints,
        device=student.device,
        teacher_pass=teacher_pass(teacher, [objective.inner], config.cluster.precision),
    )
    replica = None
    if rank() == 0:  # ZeRO-3 has taken the parameters apart; a replica is whole
        replica = _unpruned(plan, teacher)
        HeadGates(replica, sites_of(replica), pace=pruning.pace).attach(replica)
    if learner.failure is None:
        learner.engine.copy_to(replica)
    learner.engine.close()
    Checkpointer(checkpoints).clear()
    return replica, learner.failure


def _gated_objective(
    config: DistilsStudents, plan: StudentPlan, student: PreTrainedModel, teacher: PreTrainedModel
) -> GatedObjective:
    """Gates on all heads of a student, and what they and its weights minimise."""
    pruning, sites = plan.recipe.pruning, sites_of(student)
    gates = HeadGates(student, sites, pace=pruning.pace)
    gates.attach(student)
    return GatedObjective(
        inner=objective_of(plan, student, teacher, {}, config.student.label_smoothing),
        gates=gates,
        num_heads=sum(count_heads(student, site) for site in sites.attentions),
        penalty=pruning.penalty,
    )
