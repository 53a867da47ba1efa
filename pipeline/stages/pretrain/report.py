"""What a pre-training leaves for people: a page, its tables, curves on held-out text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.config.load import to_yaml
from pipeline.report.curves import Curve, thinned
from pipeline.report.plain_page import PlainReport, Section, write_plain_report
from pipeline.stages.environment import environment_of
from pipeline.stages.facts import common_facts
from pipeline.stages.job import OpenedJob
from pipeline.stages.pretrain.plan import ALONE, DISTILLED, PretrainPlan, losses_of
from pipeline.stages.pretrain.results import Pretrained, curve_table, result_table

METRICS = ("loss", "masked_accuracy")


def write_report(job: OpenedJob[PretrainJob], plan: PretrainPlan, done: Pretrained, run_id: str) -> Path:
    """The page and what lies beside it.

    Returns:
        the folder.
    """
    config, folder = job.config, plan.folder / "report"
    start = plan.model.pretrained and config.pretraining.start
    facts = {
        "pre-training": plan.key,
        "small model": start or f"{plan.model.name}, from scratch",
        "losses": losses_of(config.pretraining),
        "steps": str(plan.num_steps),
        **common_facts(config, job.task.fingerprint, run_id),
    }
    equal = (
        "Steps and seconds to equal loss: of the steps below, the first after which the validation loss was at most "
        f"{done.equal.loss:.4f}, which the weaker model has at its end. The teacher's passes count among the seconds "
        "of the model that learns from it; the teacher's own training does not."
    )
    report = PlainReport(
        title=f"{config.task.name}: {plan.model.name} pre-trained with the help of {config.model.name}",
        summary=summary(done, config.evaluation.split, plan.num_steps),
        facts=facts,
        sections=[
            Section(title="Results", lines=result_table(done), note=equal if len(done.models) > 1 else ""),
            Section(title="On the way", lines=curve_table(done), note="Of the validation split."),
        ],
        curves=_curves(done),
        environment=environment_of(config.cluster),
        config=to_yaml(config),
    )
    write_plain_report(report, folder)
    return folder


def summary(done: Pretrained, split: str, num_steps: int) -> Sequence[str]:
    """How good everybody is, and what the teacher was worth.

    Args:
        done: all that is done.
        split: that was scored.
        num_steps: optimiser steps of each model.
    """
    scores = {"the teacher": done.teacher, **{name: one.held_out for name, one in done.models.items()}}
    said = "; ".join(
        f"{name} {one.masked_accuracy:.2f} % (perplexity {one.perplexity:,.2f})" for name, one in scores.items()
    )
    told = [f"Masked accuracy on the {split} split: {said}."]
    with_teacher, without = (done.equal.points.get(name) for name in (DISTILLED, ALONE))
    if with_teacher is not None and without is not None:
        first, last = (with_teacher, without) if with_teacher.step <= without.step else (without, with_teacher)
        who = "With the teacher" if first is with_teacher else "Alone"
        other = "alone" if first is with_teacher else "with the teacher"
        loss = f"{done.equal.loss:.4f}"
        if first.step == last.step:
            told.append(f"Both have a validation loss of at most {loss} after {first.step} of {num_steps} steps.")
        else:
            told.append(
                f"{who} the model has a validation loss of at most {loss} after {first.step} of {num_steps} "
                f"steps and {first.seconds:,.1f} s; {other} after {last.step} and {last.seconds:,.1f} s."
            )
    return told


def _curves(done: Pretrained) -> list[Curve]:
    """Of held-out text, by model."""
    found = []
    for metric in METRICS:
        for name, points in done.curves.items():
            values = [(point.step, value) for point in points if (value := getattr(point, metric)) is not None]
            found.append(Curve(metric=f"validation_{metric}", name=name, group="", points=thinned(values)))
    return found
