"""What Agora says in the end: a table of rounds, the document of the job."""

from __future__ import annotations

import math
from typing import Any

from pipeline.augmentation.agora import AgoraResult
from pipeline.console.tables import number_text
from pipeline.evaluation.metrics import HEADLINES
from pipeline.stages.agora.final_score import FinalScore
from pipeline.stages.agora.labeller_calls import AskedTeacher
from pipeline.stages.agora.plan import AgoraPlan


def round_table(plan: AgoraPlan, result: AgoraResult) -> list[list[str]]:
    """Header, then a line a round."""
    head = ["round", "sets", "best", "development", "points", "generated", "added", "sets given up"]
    lines = [head]
    for one in result.rounds:
        score = one.accuracies[0]
        mark = "*" if plan.job.config.agora.contaminates and one.number > 1 else ""
        lines.append(
            [
                str(one.number),
                str(len(one.ranking)),
                plan.thetas[one.best].name or "-",
                number_text(None if math.isnan(score) else 100 * score, ".2f") + mark,
                str(one.num_mistakes),
                str(one.num_generated),
                str(one.num_added),
                str(len(one.pruned)),
            ]
        )
    return lines


def document_of(
    plan: AgoraPlan, teacher: AskedTeacher, result: AgoraResult, final: FinalScore | None, num_labelled: int
) -> dict[str, Any]:
    """What the job prints beside its status.

    Args:
        plan: of the job.
        teacher: the labeller, and what it was asked.
        result: of the loop.
        final: the best candidate; none: all failed.
        num_labelled: texts whose labels are the teacher's.
    """
    config = plan.job.config
    headline, best = HEADLINES[config.task.metric], result.best
    rounds = [
        {
            "round": one.number,
            "development": {
                plan.thetas[t].name or "-": None if math.isnan(a) else 100 * a
                for t, a in zip(one.ranking, one.accuracies, strict=True)
            },
            "num_points": one.num_mistakes,
            "num_generated": one.num_generated,
            "num_added": one.num_added,
            "pruned": [plan.thetas[theta].name for theta in one.pruned],
        }
        for one in result.rounds
    ]
    return {
        "agora": plan.key,
        "metric": headline,
        "stopped": result.stop.value,
        "rounds": rounds,
        "development_is_contaminated": config.agora.contaminates and len(result.rounds) > 1,
        "labelled": num_labelled,
        "teacher_calls": teacher.num_calls,
        "trainings": sum(len(one.ranking) for one in result.rounds),
        "test": None if final is None else final.scores,
        "test_teacher": teacher.result.scores,
        "best": None
        if best is None or final is None
        else {
            "round": best.round_number,
            "theta": plan.thetas[best.theta].name,
            "development": 100 * best.accuracy,
            "package": final.package,
            "bytes": final.size_bytes,
        },
    }
