"""What a running job lets monitoring see: numbers by name, for whoever collects them; without a collector, nothing.

Whoever works says `show(...)` and knows no cluster; on Ray each process sends them to Ray's metrics endpoint
(`cluster/metrics.py`). Runs in MLflow hold what lasts; this is what dashboards and alarms look at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """A number that monitoring may see.

    Args:
        name: as Prometheus writes names; units at the end.
        meaning: one sentence.
        labels: what tells several of them apart.
    """

    name: str
    meaning: str
    labels: tuple[str, ...] = ()


Collector = Callable[[Gauge, float, dict[str, str]], None]

LOSS = Gauge(name="dq_loss", meaning="Mean training loss since the line before.", labels=("learner",))
STEPS = Gauge(name="dq_steps", meaning="Optimiser steps done.", labels=("learner",))
TOKENS_PER_SECOND = Gauge(
    name="dq_tokens_per_second", meaning="Tokens a second that one group of workers trains on.", labels=("learner",)
)
PEAK_MEMORY = Gauge(name="dq_worker_peak_memory_bytes", meaning="The most memory that rank 0 has held so far.")
CHECKPOINT_TIME = Gauge(
    name="dq_checkpoint_timestamp_seconds", meaning="When the newest checkpoint of a group was written, or it began."
)
STORAGE_FREE = Gauge(name="dq_storage_free_bytes", meaning="What is free where checkpoints are written.")
GROUPS = Gauge(name="dq_groups", meaning="Groups of workers that a job has asked for.", labels=("state",))
TRACKING_AWAY = Gauge(name="dq_tracking_away", meaning="1 while MLflow takes nothing of a run, or 0.", labels=("run",))
NIGHT_TIME = Gauge(name="dq_night_timestamp_seconds", meaning="When a night was decided.", labels=("night", "decision"))
ALL = (
    LOSS, STEPS, TOKENS_PER_SECOND, PEAK_MEMORY, CHECKPOINT_TIME, STORAGE_FREE, GROUPS, TRACKING_AWAY, NIGHT_TIME
)  # fmt: skip

_collectors: list[Collector] = []


def collect(collector: Collector) -> None:
    """Let a collector see the numbers of this process from now on, instead of the one before."""
    _collectors[:] = [collector]


def show(gauge: Gauge, value: float, **labels: str) -> None:
    """A number has this value now.

    Args:
        gauge: which.
        value: what it is.
        labels: one for each of the gauge's labels.
    """
    assert set(labels) == set(gauge.labels)
    for collector in _collectors:
        collector(gauge, value, labels)
