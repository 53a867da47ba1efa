"""The training loop: one pass over the batches trains every learner of a cohort.

It knows neither Ray nor MLflow nor DeepSpeed: engines, batches, objectives, listeners and hooks are handed in. A
teacher that is fine-tuned is a cohort of one learner without a teacher of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from pipeline.config.errors import NonFiniteError
from pipeline.console import gauges
from pipeline.data.batch import Batch
from pipeline.data.batches import TrainingBatches
from pipeline.training.collective import rank, sum_over_ranks
from pipeline.training.engine import Engine
from pipeline.training.memory import peak_memory_bytes
from pipeline.training.random_stream import RandomStream
from pipeline.training.stop_request import Stopped
from pipeline.training.stopwatch import TEACHER, Timed, untimed


@dataclass(frozen=True, kw_only=True)
class TokenCounts:
    """Tokens of one optimiser step over all micro-batches and ranks: the divisors of the losses."""

    num_source: float
    num_target: float
    num_micro_batches: float = 1.0


class Objective(Protocol):
    """What a learner minimises."""

    @property
    def needs_teacher(self) -> bool:
        """Whether the teacher's signals are wanted."""
        ...

    def __call__(self, engine: Engine, batch: Batch, signals: Any, counts: TokenCounts) -> dict[str, Tensor]:
        """Loss terms of one micro-batch, weighted, divided by the global counts; their sum is differentiated."""
        ...

    def weight(self, term: str) -> float:
        """The weight of a term; it is logged without, so that curves of different weights can be compared."""
        ...


class Listener(Protocol):
    """Told what happens to a learner; the tracker is one."""

    def metrics(self, values: dict[str, float], step: int) -> None:
        """Numbers of an optimiser step."""
        ...

    def failed(self, reason: str) -> None:
        """The learner has left the cohort."""
        ...

    def stopped(self, reason: str) -> None:
        """The learner has been taken out of the cohort, which is no failure of its own."""
        ...


@dataclass(kw_only=True)
class Learner:
    """One model in training."""

    name: str
    engine: Engine
    objective: Objective
    learning_rate: Callable[[int], float]
    listener: Listener
    random: RandomStream
    before_step: Callable[[int], None] = lambda _: None  # told the number of the optimiser step that begins
    failure: str | None = None
    stopped: str | None = None
    pending: dict[str, Tensor] = field(default_factory=dict)

    def fail(self, reason: str) -> None:
        """Leave the cohort; the others go on."""
        self.failure = reason
        self.engine.discard()
        self.listener.failed(reason)

    def stop(self, reason: str) -> None:
        """Be taken out of the cohort early."""
        self.stopped = reason
        self.engine.discard()
        self.listener.stopped(reason)

    @property
    def active(self) -> bool:
        """Whether it is still trained."""
        return self.failure is None and self.stopped is None


@dataclass(kw_only=True)
class Progress:
    """How far a cohort is: what a checkpoint remembers beside the engines."""

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0


class Hooks(Protocol):
    """Called on the way, on every rank alike; what they do does not count as the time of training."""

    def after_step(self, progress: Progress, losses: dict[str, float]) -> None:
        """An optimiser step is done and logged; they may take learners out.

        Args:
            progress: how far the cohort is.
            losses: name of a learner -> its total loss; of those that are left.
        """
        ...

    def after_epoch(self, progress: Progress) -> None:
        """An epoch is over, or the whole training."""
        ...


class NoHooks:
    """Hooks that do nothing."""

    def after_step(self, progress: Progress, losses: dict[str, float]) -> None:
        """See `Hooks.after_step`."""

    def after_epoch(self, progress: Progress) -> None:
        """See `Hooks.after_epoch`."""


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """When the loop stops and logs."""

    num_steps: int
    log_every_steps: int


def train_cohort(
    learners: list[Learner],
    batches: TrainingBatches,
    settings: LoopSettings,
    *,
    device: torch.device,
    progress: Progress,
    teacher_pass: Callable[[Batch], Any] | None = None,
    hooks: Hooks | None = None,
    timed: Timed = untimed,
    is_asked: Callable[[], bool] = lambda: False,
) -> None:
    """Train until `settings.num_steps` optimiser steps are done or no learner is left.

    Args:
        learners: the cohort; each has its own engine, objective, random stream and failure.
        batches: micro-batches of this rank.
        settings: number of steps, and of those between logged metrics.
        device: where batches go.
        progress: where to start; updated in place.
        teacher_pass: the teacher's signals for a micro-batch, computed once for all learners that need them.
        hooks: called after every step, after every epoch, and after the last step.
        timed: measures the teacher's passes, and by its name what every learner does.
        is_asked: whether this rank knows of a request to stop; asked before every step.

    Raises:
        Stopped: a rank knew of one, told on all ranks before the same step; learners and progress can be saved.
    """
    window, hooks = _Window(), hooks or NoHooks()
    while progress.step < settings.num_steps and _active(learners):
        for micro_batches in batches.steps(progress.epoch, progress.step_in_epoch):
            counts, stops = _global_counts(micro_batches, device, is_asked())
            if stops:
                raise Stopped
            for learner in _active(learners):
                learner.before_step(progress.step)
            for index, batch in enumerate(micro_batches):
                last = index == len(micro_batches) - 1
                _accumulate(learners, batch.to(device), counts, teacher_pass, last, timed)
            losses = _update(learners, progress.step, window, timed)
            window.num_tokens += counts.num_source + counts.num_target
            progress.step += 1
            progress.step_in_epoch += 1
            if progress.step % settings.log_every_steps == 0 or progress.step == settings.num_steps:
                window.report(learners, progress.step)
            window.leave_out(partial(hooks.after_step, progress, losses))
            if progress.step >= settings.num_steps or not _active(learners):
                break
        else:
            progress.epoch, progress.step_in_epoch = progress.epoch + 1, 0
        window.leave_out(partial(hooks.after_epoch, progress))


def _active(learners: list[Learner]) -> list[Learner]:
    return [learner for learner in learners if learner.active]


def _global_counts(micro_batches: list[Batch], device: torch.device, is_asked: bool) -> tuple[TokenCounts, bool]:
    """Counts of a step over all ranks, and whether one of them was asked to stop: both in one collective."""
    sums = [sum(b.num_source_tokens for b in micro_batches), sum(b.num_target_tokens for b in micro_batches)]
    # A rank without examples gets a filler, which is no micro-batch of its own.
    sums.append(sum(b.num_target_tokens > 0 for b in micro_batches))
    *counts, num_asked = sum_over_ranks(torch.tensor([*sums, is_asked], dtype=torch.float64, device=device)).tolist()
    num_source, num_target, num_micro_batches = (max(count, 1.0) for count in counts)
    found = TokenCounts(num_source=num_source, num_target=num_target, num_micro_batches=num_micro_batches)
    return found, num_asked > 0


def _accumulate(
    learners: list[Learner],
    batch: Batch,
    counts: TokenCounts,
    teacher_pass: Callable[[Batch], Any] | None,
    last: bool,
    timed: Timed,
) -> None:
    """One micro-batch: one teacher pass, then forward and backward of every learner."""
    active = _active(learners)
    signals = None
    if teacher_pass is not None and any(learner.objective.needs_teacher for learner in active):
        with timed(TEACHER):
            signals = teacher_pass(batch)
    for learner in active:
        with timed(learner.name), learner.random:
            learner.engine.start_micro_batch(last)
            terms = learner.objective(learner.engine, batch, signals, counts)
            learner.engine.backward(torch.stack(list(terms.values())).sum())
        for name, term in terms.items():
            learner.pending[name] = learner.pending.get(name, 0.0) + term.detach().double()


def _update(learners: list[Learner], step: int, window: _Window, timed: Timed) -> dict[str, float]:
    """Agree over the ranks on every learner's losses; step the finite ones and drop the others."""
    active = _active(learners)
    terms = [value for learner in active for value in learner.pending.values()]
    summed = iter(sum_over_ranks(torch.stack(terms)).tolist()) if terms else iter(())
    totals = {}
    for learner in active:
        losses = {name: next(summed) for name in learner.pending}
        learner.pending = {}
        bad = [name for name, value in losses.items() if not abs(value) < float("inf")]
        if bad:
            learner.fail(f"non-finite {', '.join(bad)} at optimiser step {step + 1}")
            continue
        learning_rate = learner.learning_rate(step)
        try:
            with timed(learner.name):
                norm = learner.engine.step(learning_rate)
        except NonFiniteError as error:
            learner.fail(f"{error} at optimiser step {step + 1}")
            continue
        totals[learner.name] = sum(losses.values())
        window.add(learner, losses, learning_rate, norm)
    return totals


class _Window:
    """Averages between two log lines."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.start, self.num_tokens = time.monotonic(), 0.0
        self.sums: dict[str, dict[str, float]] = {}
        self.counts: dict[str, int] = {}
        self.latest: dict[str, dict[str, float]] = {}

    def add(self, learner: Learner, losses: dict[str, float], learning_rate: float, norm: float) -> None:
        sums = self.sums.setdefault(learner.name, {})
        plain = {name: value / learner.objective.weight(name) for name, value in losses.items()}
        for name, value in {**plain, "loss": sum(losses.values()), "gradient_norm": norm}.items():
            sums[name] = sums.get(name, 0.0) + value
        self.counts[learner.name] = self.counts.get(learner.name, 0) + 1
        self.latest[learner.name] = {"learning_rate": learning_rate}

    def leave_out(self, pause: Callable[[], None]) -> None:
        """Do what is not training without counting its time."""
        before = time.monotonic()
        pause()
        self.start += time.monotonic() - before

    def report(self, learners: list[Learner], step: int) -> None:
        seconds = max(time.monotonic() - self.start, 1e-9)
        shared = {
            "cohort_tokens_per_second": self.num_tokens / seconds,
            "worker_peak_memory_bytes": float(peak_memory_bytes()),
        }
        for learner in _active(learners):
            means = {k: v / self.counts[learner.name] for k, v in self.sums.get(learner.name, {}).items()}
            learner.listener.metrics({**means, **self.latest.get(learner.name, {}), **shared}, step)
            if rank() == 0:
                if "loss" in means:
                    gauges.show(gauges.LOSS, means["loss"], learner=learner.name)
                gauges.show(gauges.STEPS, step, learner=learner.name)
                gauges.show(gauges.TOKENS_PER_SECOND, shared["cohort_tokens_per_second"], learner=learner.name)
        if rank() == 0:
            gauges.show(gauges.PEAK_MEMORY, shared["worker_peak_memory_bytes"])
        self._reset()
