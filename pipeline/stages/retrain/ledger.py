"""The ledger of nights: JSON lines, appended and never changed, each bound to the one before it by its digest.

A promotion is two lines: the decision, written before any alias moves, and what became of it. So is a rollback. A
decision without the second line was interrupted, and whoever comes next finishes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline import WRITTEN_BY
from pipeline.config.errors import UserError
from pipeline.config.masking import masked, masked_values
from pipeline.retraining.decisions import Decision
from pipeline.stages.document import strict
from pipeline.storage.atomic import atomic_text
from pipeline.storage.digests import json_digest

FILE, DIGEST = "ledger.jsonl", "sha256"
NIGHT, PROMOTION, ROLLBACK = "night", "promotion", "rollback"
DECIDED = "decided"  # in the details of a promotion: number of the line that decided it
SETTLED = frozenset(one.name for one in (Decision.PROMOTED, Decision.KEPT, Decision.REFUSED, Decision.ANOMALOUS))


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line.

    Args:
        number: of it, from 1.
        at: when it was written, UTC.
        event: `night`: a decision; `rollback`: one of a person; `promotion`: what became of the aliases after either.
        decision: name of the decision; of a promotion PROMOTED or FAILED.
        reasons: why, in sentences.
        data: fingerprint of the data.
        settings: digest of the settings that decide.
        frozen: digest of the frozen test set.
        champion: version that was the champion before; none: there was none.
        version: of the candidate, once it is registered.
        details: numbers and places: what gates measured, teacher's folder, run.
        written_by: which version of this project.
        before: digest of the line before; empty of the first.
    """

    number: int
    at: str
    event: str
    decision: str
    reasons: list[str] = field(default_factory=list)
    data: str = ""
    settings: str = ""
    frozen: str = ""
    champion: str | None = None
    version: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    written_by: str = WRITTEN_BY
    before: str = ""


class Ledger:
    """The lines of a folder. Whoever appends holds the lease on it.

    Args:
        folder: where the file lies or will lie.

    Raises:
        UserError: a line that is none, or that has changed: nothing is decided on such ground.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.lines = folder / FILE, list[Line]()
        self._digest = ""
        if not self.path.exists():
            return
        for number, text in enumerate(self.path.read_text(encoding="utf-8").removesuffix("\n").split("\n"), 1):
            self._take(number, text)

    def _take(self, number: int, text: str) -> None:
        try:
            content = json.loads(text)
            digest = content.pop(DIGEST)
            line = Line(**content)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise self._refused(number, "it is no line of a ledger") from None
        if json_digest(content) != digest or line.number != number or line.before != self._digest:
            raise self._refused(number, "it is not what was written, or lines before it are missing")
        self.lines.append(line)
        self._digest = digest

    def append(self, line: Line) -> Line:
        """Write one more line, on disk when this returns; nothing in it is a secret.

        Args:
            line: whose number, time and digest of the line before are filled in.

        Raises:
            OSError: no place to write.
            UserError: somebody else has written meanwhile, or the file has changed.
        """
        if Ledger(self.path.parent)._digest != self._digest:
            raise self._refused(len(self.lines) + 1, "another process has written it meanwhile")
        line = replace(
            line,
            number=len(self.lines) + 1,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            reasons=[masked(reason) for reason in line.reasons],
            details=strict(masked_values(line.details)),
            before=self._digest,
        )
        content = asdict(line)
        text = self.path.read_text(encoding="utf-8") if self.lines else ""
        digest = json_digest(content)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic_text(self.path, f"{text}{json.dumps({**content, DIGEST: digest})}\n")
        self.lines.append(line)
        self._digest = digest
        return line

    def last(self, *events: str, decisions: Sequence[Decision] | None = None) -> Line | None:
        """The newest line of one of some events, with one of some decisions if they are given."""
        names = None if decisions is None else {decision.name for decision in decisions}
        found = (one for one in reversed(self.lines) if one.event in events)
        return next((one for one in found if names is None or one.decision in names), None)

    def settled(self, data: str, settings: str, champion: str | None) -> Line | None:
        """The newest night that came to a decision which these data, settings and champion would not change.

        The champion may be the one that the night had, or the one that it made. A promotion that failed settles
        nothing: what has failed may be there tonight.
        """
        failed = {one.details.get(DECIDED) for one in self._promotions if one.decision == Decision.FAILED.name}
        found = (one for one in reversed(self.lines) if one.event == NIGHT and one.decision in SETTLED)
        return next(
            (
                one
                for one in found
                if (one.data, one.settings) == (data, settings)
                and (one.champion == champion or one.version == champion is not None)
                and one.number not in failed
            ),
            None,
        )

    @property
    def unfinished(self) -> Line | None:
        """A promotion or rollback that was decided last and of which nobody knows what became."""
        decided = [
            one for one in self.lines if one.event in (NIGHT, ROLLBACK) and one.decision == Decision.PROMOTED.name
        ]
        known = {one.details.get(DECIDED) for one in self._promotions}
        return None if not decided or decided[-1].number in known else decided[-1]

    @property
    def crowned(self) -> Line | None:
        """The newest promotion that went well, after a night or by hand: what it says of the champion still holds."""
        return self.last(PROMOTION, decisions=[Decision.PROMOTED])

    @property
    def _promotions(self) -> list[Line]:
        return [one for one in self.lines if one.event == PROMOTION]

    def night_of(self, version: str | None) -> Line | None:
        """The night whose candidate a version is."""
        nights = (one for one in self.lines if one.event == NIGHT and one.version is not None)
        return next((one for one in nights if one.version == version), None)

    def num_frozen_uses(self, frozen: str) -> int:
        """How often a candidate was compared with a champion on a frozen set."""
        nights = (one for one in self.lines if one.event == NIGHT and one.frozen == frozen)
        return sum(bool(one.details.get("compared")) for one in nights)

    def _refused(self, number: int, reason: str) -> UserError:
        return UserError(
            f"line {number} of {self.path}: {reason}",
            "the lines that nights have written",
            "put the file back from a copy (every night's run in MLflow has one as artifact `retraining/ledger.jsonl`)",
        )


def details_of(line: Line | None, name: str) -> Any:
    """A detail of a line; none where there is no line, or no such detail."""
    return None if line is None else line.details.get(name)


def as_document(line: Line) -> Mapping[str, Any]:
    """A line for people and programs, without what binds it to others."""
    return {name: value for name, value in asdict(line).items() if name not in ("before", "written_by")}
