"""What earlier nights have left and nobody needs: their data, answers and accepted examples, but for the newest."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.retraining.decisions import Decision
from pipeline.stages.retrain.data import ACCEPTED
from pipeline.stages.retrain.ledger import NIGHT, Ledger

NIGHTS, KEPT_NIGHTS = "nights", 3  # folders; a night that is submitted again finds what it has done


def tidy(folder: Path, ledger: Ledger) -> None:
    """Remove the folders of old nights, and accepted examples that no night will look at again.

    Args:
        folder: of all nights of a name, whose lease is held.
        ledger: says which data were accepted last.
    """
    nights = sorted((folder / NIGHTS).glob("*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for night in nights[KEPT_NIGHTS:]:
        shutil.rmtree(night, ignore_errors=True)
    accepted = ledger.last(NIGHT, decisions=[Decision.PROMOTED, Decision.KEPT])
    newest = ledger.last(NIGHT)  # which may have failed, and is submitted again
    known = {f"{line.data}.json" for line in (accepted, newest) if line is not None}
    for file in (folder / ACCEPTED).glob("*.json"):
        if file.name not in known:
            file.unlink(missing_ok=True)
