"""The ledger of nights: JSON lines, appended and never changed, each bound to the one before it by its digest.

A promotion is two lines: the decision, written before any alias moves, and what became of it. A decision without the
second line was interrupted, and whoever comes next finishes it.
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
from pipeline.retraining.decisions import Decision
from pipeline.stages.document import strict
from pipeline.storage.atomic import atomic_text
from pipeline.storage.digests import json_digest

FILE, DIGEST = "ledger.jsonl", "sha256"
NIGHT, PROMOTION, ROLLBACK = "night", "promotion", "rollback"
SETTLED = frozenset({Decision.PROMOTED, Decision.KEPT, Decision.REFUSED, Decision.ANOMALOUS})


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line.

    Args:
        number: of it, from 1.
        at: when it was written, UTC.
        event: `night`: a decision; `promotion`: what became of the aliases after one; `rollback`: the same by hand.
        decision: name of the decision; of a promotion or rollback PROMOTED or FAILED.
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
        for number, text in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
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
        """Write one more line, on disk when this returns.

        Args:
            line: whose number, time and digest of the line before are filled in.

        Raises:
            OSError: no place to write.
        """
        line = replace(
            line,
            number=len(self.lines) + 1,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            details=strict(line.details),
            before=self._digest,
        )
        content = asdict(line)
        text = self.path.read_text(encoding="utf-8") if self.lines else ""
        digest = json_digest(content)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic_text(self.path, f"{text}{json.dumps({**content, DIGEST: digest}, ensure_ascii=False)}\n")
        self.lines.append(line)
        self._digest = digest
        return line

    def last(self, *events: str, decisions: Sequence[Decision] | None = None) -> Line | None:
        """The newest line of one of some events, with one of some decisions if they are given."""
        names = None if decisions is None else {decision.name for decision in decisions}
        found = (one for one in reversed(self.lines) if one.event in events)
        return next((one for one in found if names is None or one.decision in names), None)

    @property
    def settled(self) -> Line | None:
        """The newest night that came to a decision which the same data and settings would not change."""
        return self.last(NIGHT, decisions=sorted(SETTLED))

    @property
    def unfinished(self) -> Line | None:
        """A promotion that was decided and of which nobody knows what became."""
        last = self.last(NIGHT, PROMOTION, decisions=list(Decision))
        nights = [one for one in self.lines if one.event == NIGHT and one.decision == Decision.PROMOTED.name]
        if not nights or last is None:
            return None
        known = {one.details.get("night") for one in self.lines if one.event == PROMOTION}
        return None if nights[-1].number in known else nights[-1]

    @property
    def crowned(self) -> Line | None:
        """The newest promotion or rollback that went well: what it says of the champion still holds."""
        return self.last(PROMOTION, ROLLBACK, decisions=[Decision.PROMOTED])

    def night_of(self, version: str) -> Line | None:
        """The night whose candidate a version is."""
        return next((one for one in self.lines if one.event == NIGHT and one.version == version), None)

    def num_frozen_uses(self, frozen: str) -> int:
        """How often a candidate was compared with a champion on a frozen set."""
        return sum(one.frozen == frozen and bool(one.details.get("compared")) for one in self.lines)

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
