"""The ledger's page: what was promoted when, why the others were not, tonight's checks, gates and drift."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.load import to_yaml
from pipeline.config.masking import masked
from pipeline.console.tables import number_text
from pipeline.report.plain_page import PlainReport, Section, write_plain_report
from pipeline.stages.environment import environment_of
from pipeline.stages.facts import common_facts
from pipeline.stages.retrain.drift import QUALITY, TITLE
from pipeline.stages.retrain.ledger import NIGHT, Ledger, Line
from pipeline.stages.retrain.outcome import Outcome
from pipeline.stages.retrain.students import FROM
from pipeline.stages.retrain.waiting import TITLE as WAITING

NUM_SHOWN = 200  # lines of the page, the newest first; the file has all
SHOWN_REASONS = 3
NOTES = {
    "Data checks": "All of tonight's examples, and what is new among them by itself.",
    "Gates": "One that is not passed keeps the champion.",
    WAITING: "Simulated: gates of scores, tonight's numbers of examples, and how much both models differ on them.",
    TITLE: "Accepted data, and what is new (where nothing is, all of tonight's); nothing is refused for it.",
}


def write_page(config: RetrainJob, folder: Path, ledger: Ledger, outcome: Outcome) -> Path:
    """`report.html`, `results.md` and `config.yaml`.

    Returns:
        the page.
    """
    crowned, nights = ledger.crowned, [line for line in ledger.lines if line.event == NIGHT]
    summary = [f"Tonight: {outcome.decision.name}. {masked(' '.join(outcome.reasons))}"]
    if crowned is not None:
        score, num_uses = number_text(crowned.details.get("score"), ".2f"), ledger.num_frozen_uses(crowned.frozen)
        summary.append(
            f"The champion is version {crowned.version} of {config.retrain.name} since {_minute(crowned.at)} UTC; "
            f"it had {score} on the frozen set then, which was used {'once' if num_uses == 1 else f'{num_uses} times'}."
        )
    if source := outcome.details.get(FROM):
        summary.append(f"Tonight's {source}.")
    summary += [masked(alarm) for alarm in outcome.details.get("alarms", [])]
    sections = [Section(title="Ledger", lines=ledger_table(ledger.lines), note=_note(ledger), kind="words dated")]
    sections += [
        Section(title=title, lines=lines, note=NOTES.get(title, ""), kind="words")
        for title, lines in outcome.tables.items()
    ]
    report = PlainReport(
        title=f"{config.task.name}: nights of {config.retrain.name}",
        summary=summary,
        facts={"nights": str(len(nights)), **common_facts(config, outcome.data, "")},
        sections=sections,
        environment=environment_of(config.cluster),
        config=to_yaml(config),
    )
    write_plain_report(report, folder / "report")
    return folder / "report" / "report.html"


def ledger_table(lines: Sequence[Line]) -> list[list[str]]:
    """Header and the newest lines, the newest first."""
    table = [["line", "UTC", "event", "decision", "champion", "candidate", "score", "newest", "champion's", "why"]]
    for line in list(reversed(lines))[:NUM_SHOWN]:
        why = " ".join(line.reasons[:SHOWN_REASONS])
        more = f" ({len(line.reasons) - SHOWN_REASONS} more)" if len(line.reasons) > SHOWN_REASONS else ""
        table.append(
            [
                str(line.number),
                _minute(line.at),
                line.event,
                line.decision,
                line.champion or "-",
                line.version or "-",
                number_text(line.details.get("score"), ".2f"),
                number_text(line.details.get("newest"), ".2f"),
                number_text(line.details.get(QUALITY), ".2f"),
                masked(why + more),
            ]
        )
    return table


def _note(ledger: Ledger) -> str:
    columns = (
        "score: the candidate's on the frozen set; newest and champion's: of candidate and champion on what was held "
        "out that night. Every night with data has its drift in its run in MLflow, as report/drift.json and metrics."
    )
    if len(ledger.lines) <= NUM_SHOWN:
        return columns
    return f"{columns} The newest {NUM_SHOWN} of {len(ledger.lines)} lines; the file has all."


def _minute(at: str) -> str:
    return at[:16].replace("T", " ")
