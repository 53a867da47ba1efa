"""Which models of a pre-training are trained together: those that are missing, interrupted ones as they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.stages.pretrain.plan import ALONE, DISTILLED, ModelPlan, PretrainPlan
from pipeline.training.checkpoint import read_progress

CHECKPOINTS, TOGETHER = "checkpoints", "together"
COMPANIES = ((DISTILLED, ALONE), (DISTILLED,), (ALONE,))


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Models that see the same batches.

    Args:
        models: in the order of their checkpoint.
        waiting: names of those among them that take part no more.
        checkpoints: folder of its checkpoints.
        continues: whether there is one.
    """

    models: list[ModelPlan]
    waiting: frozenset[str]
    checkpoints: Path
    continues: bool

    @property
    def trained(self) -> list[ModelPlan]:
        """Those that take part."""
        return [model for model in self.models if model.name not in self.waiting]


def cohorts_of(plan: PretrainPlan) -> list[Cohort]:
    """What is left to be trained; nothing where all that is wanted is done.

    A checkpoint of both models serves one of them alone, too: whoever is not wanted is taken out, for good.

    Args:
        plan: says which models are wanted.
    """
    left, found = plan.left, list[Cohort]()
    for names in COMPANIES:
        progress = read_progress(plan.folder / CHECKPOINTS / _folder(names))
        stopped = progress.get("stopped", [None] * len(names))
        going_on = [name for name, reason in zip(names, stopped, strict=True) if name in left and reason is None]
        if progress and going_on:
            found.append(_cohort(plan, names, going_on, continues=True))
            left = [name for name in left if name not in going_on]
    return [*found, _cohort(plan, left, left, continues=False)] if left else found


def _cohort(plan: PretrainPlan, names: Sequence[str], trained: Sequence[str], *, continues: bool) -> Cohort:
    return Cohort(
        models=[plan.one(name) for name in names],
        waiting=frozenset(names) - set(trained),
        checkpoints=plan.folder / CHECKPOINTS / _folder(names),
        continues=continues,
    )


def _folder(names: Sequence[str]) -> str:
    return TOGETHER if len(names) > 1 else names[0]
