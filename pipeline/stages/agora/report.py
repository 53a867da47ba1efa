"""What Agora leaves for people and for programs: a table of rounds, the document of the job."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.augmentation.agora import AgoraResult
from pipeline.config.load import to_yaml
from pipeline.console.tables import markdown_table, number_text
from pipeline.evaluation.metrics import HEADLINES
from pipeline.stages.agora.development import CONTAMINATED
from pipeline.stages.agora.final_score import FinalScore
from pipeline.stages.agora.labeller_calls import AskedTeacher
from pipeline.stages.agora.plan import AgoraPlan
from pipeline.stages.agora.round_run import ADDED
from pipeline.stages.document import strict
from pipeline.storage.atomic import atomic_json, atomic_text

NUM_SHOWN = 12  # generated examples in the report


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


def write_report(
    plan: AgoraPlan, table: Sequence[Sequence[str]], document: dict[str, Any], result: AgoraResult
) -> Path:
    """`results.md`, `results.json`, and every example that was added, with its origin.

    Returns:
        the folder.
    """
    folder = plan.folder / "report"
    folder.mkdir(parents=True, exist_ok=True)
    added = [line for one in result.rounds for line in _lines(plan.round_folder(one.number) / ADDED)]
    atomic_text(folder / ADDED, "".join(f"{line}\n" for line in added))
    atomic_json(folder / "results.json", strict(document))
    atomic_text(folder / "results.md", _page(plan, table, document, added))
    return folder


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line]


def _page(plan: AgoraPlan, table: Sequence[Sequence[str]], document: dict[str, Any], added: Sequence[str]) -> str:
    metric, test = document["metric"], document["test"]
    parts = [f"# Agora on {plan.job.config.task.name}", markdown_table(table), f"Ended: {document['stopped']}."]
    if document["development_is_contaminated"]:
        parts.append(f"\\* {CONTAMINATED}.")
    if test is not None:
        low, high = test.get(f"{metric}_low", math.nan), test.get(f"{metric}_high", math.nan)
        parts.append(
            f"Test split, looked at once: {metric} {test[metric]:.2f} (95 %: {low:.2f} to {high:.2f}), "
            f"{document['best']['bytes']} bytes; the teacher has {document['test_teacher'][metric]:.2f}."
        )
    parts.append(
        f"{document['labelled']} labels are the teacher's, which was asked about {document['teacher_calls']} texts; "
        f"{document['trainings']} trainings."
    )
    if added:
        shown = [["generator", "from", "text", "label"]]
        for line in added[:: max(1, len(added) // NUM_SHOWN)][:NUM_SHOWN]:
            row = json.loads(line)
            texts = " / ".join(text for text in (row["source"], row["second"]) if text)
            origin = row["origin"]
            shown.append([origin["generator"], origin["parent_source"][:120], texts[:120], str(row["target"])[:80]])
        parts += [f"## Some of the {len(added)} examples that were added", markdown_table(shown)]
    parts += ["## Configuration", f"```yaml\n{to_yaml(plan.job.config)}```"]
    return "\n\n".join(parts) + "\n"
