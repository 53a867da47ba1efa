"""What a worker needs to train: device, batches, engine."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pipeline.cluster.stop_files import asked_by_driver, in_training
from pipeline.config.jobs import TrainsTeacher
from pipeline.config.sections.cluster import AUTO_PRECISION, ClusterConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.console.progress import ProgressBar
from pipeline.data.batch import Batch
from pipeline.data.batches import BatchPlan, TrainingBatches
from pipeline.data.noise import noise_of
from pipeline.data.tokenise import TokenisedSplit
from pipeline.models.forward import start_token
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.collective import rank, world_size
from pipeline.training.engine import Engine, TorchEngine
from pipeline.training.loop import Hooks, Learner, LoopSettings, NoHooks, Progress, train_cohort
from pipeline.training.optim import make_optimiser
from pipeline.training.stop_request import Stopped, asked, at_once, at_steps
from pipeline.training.stopwatch import Timed, untimed

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

MANY_LOSSES = 8  # that fit on a line

log = logging.getLogger(__name__)


def worker_device(cluster: ClusterConfig) -> torch.device:
    """The device of this rank."""
    if cluster.gpus_per_worker:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(device)
        return device
    return torch.device("cpu")


def training_batches(
    split: TokenisedSplit,
    train: TrainConfig,
    config: TrainsTeacher,
    tokenizer: PreTrainedTokenizerBase,
    model_config: PretrainedConfig,
    seed: int,
    sharded: bool = True,
) -> TrainingBatches:
    """The training batches of this rank for a model of that configuration, in the order that the seed gives.

    Unsharded, every rank gets all examples.
    """
    plan = BatchPlan(
        lengths=split.lengths(),
        batch_tokens=train.batch_tokens,
        micro_batch_tokens=train.micro_batch_tokens,
        num_ranks=world_size() if sharded else 1,
        seed=seed,
    )
    return TrainingBatches(
        split.examples,
        plan,
        rank=rank() if sharded else 0,
        pad_id=tokenizer.pad_token_id,
        decoder_start_id=start_token(model_config),
        noise=noise_of(config.task.noise, tokenizer),
    )


def num_training_steps(batches: TrainingBatches, train: TrainConfig) -> int:
    """Optimiser steps of a whole training run."""
    total = sum(batches.num_steps(epoch) for epoch in range(train.epochs))
    return total if train.max_steps is None else min(total, train.max_steps)


def make_engine(module: nn.Module, train: TrainConfig, cluster: ClusterConfig) -> Engine:
    """The engine that the cluster configuration names."""
    assert cluster.precision != AUTO_PRECISION, "decided when the job opened"
    optimiser = make_optimiser(module, train)
    if cluster.engine == "torch":
        return TorchEngine(module, optimiser, precision=cluster.precision, max_gradient_norm=train.max_gradient_norm)
    from pipeline.training.deepspeed_engine import DeepSpeedEngine  # importing deepspeed takes seconds

    return DeepSpeedEngine(
        module,
        optimiser,
        zero_stage=cluster.zero_stage,
        precision=cluster.precision,
        max_gradient_norm=train.max_gradient_norm,
    )


def train_with_checkpoints(
    learners: list[Learner],
    batches: TrainingBatches,
    num_steps: int,
    train: TrainConfig,
    *,
    stage: str,
    folder: Path,
    device: torch.device,
    teacher_pass: Callable[[Batch], Any] | None = None,
    hooks: Hooks | None = None,
    timed: Timed = untimed,
    needs_all: bool = False,
) -> None:
    """Train a cohort from its newest checkpoint on, with a progress bar on rank 0; arguments as of `train_cohort`.

    Args:
        learners: and so on, as there.
        needs_all: as of `Checkpointer`.

    Raises:
        Stopped: the job was asked to stop; where training is goes into a checkpoint before.
    """
    checkpointer = Checkpointer(folder, needs_all=needs_all)
    progress = checkpointer.restore(learners)
    bar = ProgressBar(stage, num_steps, done=progress.step, shown=rank() == 0)
    shown_and_saved = _ShownAndSaved(
        hooks=hooks or NoHooks(),
        bar=bar,
        checkpointer=checkpointer,
        learners=learners,
        every_steps=train.checkpoint_every_steps,
        batches=batches,
    )
    with closing(bar), at_steps(), in_training(tells=rank() == 0):
        try:
            train_cohort(
                learners,
                batches,
                LoopSettings(num_steps=num_steps, log_every_steps=train.log_every_steps),
                device=device,
                progress=progress,
                teacher_pass=teacher_pass,
                timed=timed,
                hooks=shown_and_saved,
                is_asked=lambda: asked() or (rank() == 0 and asked_by_driver()),
            )
        except Stopped:
            checkpointer.save(learners, progress)
            if rank() == 0:
                log.warning(f"{stage}: asked to stop; step {progress.step} is saved in {folder}")
            raise
        checkpointer.save(learners, progress)  # what follows may be interrupted, too


def shown_losses(losses: Sequence[float]) -> str:
    """Losses for people: each, or of many the least and the largest."""
    if len(losses) > MANY_LOSSES:
        return f"{min(losses):.3f} to {max(losses):.3f}"
    return " ".join(f"{loss:.3f}" for loss in losses)


@dataclass(frozen=True, kw_only=True)
class _ShownAndSaved:
    """Hooks between a bar for people and checkpoints, which remember what the hooks have decided."""

    hooks: Hooks
    bar: ProgressBar
    checkpointer: Checkpointer
    learners: list[Learner]
    every_steps: int
    batches: TrainingBatches

    def after_step(self, progress: Progress, losses: dict[str, float]) -> None:
        """See `Hooks.after_step`."""
        self.bar.update(progress.step, f"loss {shown_losses(list(losses.values()))}")
        self.hooks.after_step(progress, losses)
        if progress.step % self.every_steps == 0:
            self.checkpointer.save(self.learners, progress)

    def after_epoch(self, progress: Progress) -> None:
        """See `Hooks.after_epoch`; it may take minutes, so a request to stop interrupts it, and it is called again."""
        try:
            with at_once():
                self.hooks.after_epoch(progress)
        except Stopped:
            if progress.step_in_epoch == 0:  # back to the end of the epoch, which is followed by this call
                progress.epoch -= 1
                progress.step_in_epoch = self.batches.num_steps(progress.epoch)
            raise
