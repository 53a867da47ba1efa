"""The page of Agora: scores, rounds, hyper-parameter sets, some of what was added."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.augmentation.agora import AgoraResult
from pipeline.config.load import to_yaml
from pipeline.console.tables import number_text
from pipeline.evaluation.metrics import COLUMNS
from pipeline.report.plain_page import PlainReport, Section, write_plain_report
from pipeline.stages.agora.development import CONTAMINATED
from pipeline.stages.agora.plan import AgoraPlan
from pipeline.stages.agora.round_run import ADDED
from pipeline.stages.document import strict
from pipeline.stages.environment import environment_of
from pipeline.stages.facts import common_facts
from pipeline.storage.atomic import atomic_json, atomic_text

NUM_SHOWN = 12  # generated examples in the report
LONGEST = 120  # characters of each text that are shown


# Measured with three seeds on fever_part: RESULTS.md, "Agora against its controls".
CONTROL = (
    "What added texts are worth: in this project's controls no way of adding them beat as many optimiser steps on the "
    "labelled examples alone, and points of the training split did better than mistakes of the development set. Train "
    "longer first"
)


def write_report(
    plan: AgoraPlan, table: Sequence[Sequence[str]], document: dict[str, Any], result: AgoraResult, run_id: str
) -> Path:
    """`report.html`, `results.md`, `results.json`, and every example that was added, with its origin.

    Returns:
        the folder.
    """
    folder, config, agora = plan.folder / "report", plan.job.config, plan.job.config.agora
    folder.mkdir(parents=True, exist_ok=True)
    added = [line for one in result.rounds for line in _lines(plan.round_folder(one.number) / ADDED)]
    atomic_text(folder / ADDED, "".join(f"{line}\n" for line in added))
    atomic_json(folder / "results.json", strict(document))
    page = PlainReport(
        title=f"{config.task.name}: {agora.candidate.name} by Agora, taught by {config.model.name}",
        summary=summary(document),
        facts={
            "agora": plan.key,
            "points": f"{agora.points} of {agora.pool}",
            "generators": ", ".join(agora.generators),
            "labels": agora.labels,
            **common_facts(config, plan.job.task.fingerprint, run_id),
        },
        sections=_sections(plan, table, document, result, added),
        environment=environment_of(config.cluster),
        config=to_yaml(config),
    )
    write_plain_report(page, folder)
    return folder


def summary(document: dict[str, Any]) -> list[str]:
    """What the test split says, what that has cost, why it ended, what flatters."""
    metric, test, told = document["metric"], document["test"], list[str]()
    if test is not None:
        low, high = test.get(f"{metric}_low", math.nan), test.get(f"{metric}_high", math.nan)
        told.append(
            f"Test split, looked at once: {metric} {test[metric]:.2f} (95 %: {low:.2f} to {high:.2f}), "
            f"{document['best']['bytes']:,} bytes; the teacher has {document['test_teacher'][metric]:.2f}."
        )
    told.append(
        f"Ended: {document['stopped']}. {document['labelled']} labels are the teacher's, which was asked about "
        f"{document['teacher_calls']} texts; {document['trainings']} trainings."
    )
    if document["development_is_contaminated"]:
        told.append(f"{CONTAMINATED[:1].upper()}{CONTAMINATED[1:]}.")
    if len(document["rounds"]) > 1:
        told.append(f"{CONTROL}.")
    return told


def _sections(
    plan: AgoraPlan,
    table: Sequence[Sequence[str]],
    document: dict[str, Any],
    result: AgoraResult,
    added: Sequence[str],
) -> list[Section]:
    leaks = document["development_is_contaminated"]
    note = "*: points of the development set are in the training set." if leaks else ""
    sections = [Section(title="Rounds", lines=table, note=note)]
    if len(plan.thetas) > 1:
        note = "Scores on the development set; -: the set was given up before, or its training failed."
        sections.append(Section(title="Hyper-parameter sets", lines=_theta_table(plan, result), note=note))
    if document["test"] is not None:
        sections.append(Section(title="Test split", lines=_test_table(plan, document)))
    if added:
        note = f"Some of {len(added)}; all are in {ADDED}."
        sections.append(Section(title="Added examples", lines=_added_table(added), note=note, kind="words"))
    return sections


def _theta_table(plan: AgoraPlan, result: AgoraResult) -> list[list[str]]:
    """Header, then the scores of every hyper-parameter set, round by round."""
    scores = [dict(zip(one.ranking, one.accuracies, strict=True)) for one in result.rounds]
    lines = [["set", *(f"round {one.number}" for one in result.rounds)]]
    for number, theta in enumerate(plan.thetas):
        found = [of_round.get(number, math.nan) for of_round in scores]
        lines.append([theta.name, *(number_text(None if math.isnan(one) else 100 * one, ".2f") for one in found)])
    return lines


def _test_table(plan: AgoraPlan, document: dict[str, Any]) -> list[list[str]]:
    """Header, the teacher, the best candidate."""
    columns = COLUMNS[plan.job.config.task.metric]
    lines = [["model", *columns.values()]]
    for name, scores in (("teacher", document["test_teacher"]), ("best candidate", document["test"])):
        lines.append([name, *(number_text(scores.get(metric), ".2f") for metric in columns)])
    return lines


def _added_table(added: Sequence[str]) -> list[list[str]]:
    """Header, then some of them, evenly chosen."""
    shown = [["generator", "from", "text", "label"]]
    for line in added[:: max(1, len(added) // NUM_SHOWN)][:NUM_SHOWN]:
        row = json.loads(line)
        origin = row["origin"]
        texts, parents = (
            " / ".join(text for text in pair if text)
            for pair in ((row["source"], row["second"]), (origin["parent_source"], origin["parent_second"]))
        )
        shown.append([origin["generator"], parents[:LONGEST], texts[:LONGEST], str(row["target"])[:LONGEST]])
    return shown


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line]
