"""How a night ended, before it is written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline.retraining.decisions import Decision


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a night has decided.

    Args:
        decision: as said.
        reasons: why, in sentences.
        is_retriable: of FAILED: whether the same command may succeed later.
        data: fingerprint of the data; empty where they could not be read.
        frozen: digest of the frozen test set.
        champion: version that was the champion; none: there is none yet.
        version: of the candidate, where it was registered.
        details: numbers and places, for the ledger.
        tables: for people: title -> header and rows.
    """

    decision: Decision
    reasons: list[str]
    is_retriable: bool = False
    data: str = ""
    frozen: str = ""
    champion: str | None = None
    version: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
