"""What earlier nights have left and nobody needs is removed: data, answers, teachers, sweeps, copies of models."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from pipeline.retraining.decisions import Decision
from pipeline.stages.retrain.data import ACCEPTED
from pipeline.stages.retrain.ledger import NIGHT, PROMOTION, Ledger, details_of
from pipeline.stages.retrain.made import made_by_nights
from pipeline.storage.atomic import remove_folder
from pipeline.storage.layout import Storage
from pipeline.storage.lease import HeldElsewhereError, lease
from pipeline.tracking.tracker import Tracker

NIGHTS = "nights"  # folders; a night that is submitted again finds what it has done

log = logging.getLogger(__name__)


def tidy(storage: Storage, folder: Path, ledger: Ledger, tracker: Tracker, keep_nights: int) -> int:
    """Remove what old nights of a name have made, and accepted examples that no night will look at again.

    Args:
        storage: where teachers, sweeps and the cache lie.
        folder: of all nights of a name, whose lease is held.
        ledger: says which data were accepted last, and who is the champion.
        tracker: knows which runs have read which night's files.
        keep_nights: how many of the newest stay.

    Returns:
        bytes that were freed.
    """
    nights = [path for path in (folder / NIGHTS).glob("*") if path.is_dir()]
    nights.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    kept = {path.name for path in nights[:keep_nights]}
    made = made_by_nights(tracker, storage, (folder / NIGHTS).absolute(), kept, _needed(ledger))
    freed, removed, is_idle = 0, list[str](), True
    for what, paths, is_shared in (
        ("sweep", made.sweeps, True),
        ("teacher", made.teachers, True),
        ("copy of a model", made.models, False),
        ("night", nights[keep_nights:], False),
    ):
        for path in paths if is_idle else ():
            num_bytes = _bytes_of(path)
            if is_shared and _is_held(path, f"{what} {path.name}"):
                is_idle = False  # and whoever works on it may need what comes next
                continue
            freed += num_bytes
            remove_folder(path)
            removed.append(f"{what} {path.name}")
    freed += _tidy_accepted(folder, ledger)
    if removed:
        log.info(f"tidied: {freed:,} bytes of old nights freed ({', '.join(removed)})")
    return freed


def _needed(ledger: Ledger) -> set[str]:
    """Teachers and runs of students of versions that are, were last, or are about to be the champion."""
    crowned, unfinished = ledger.last(PROMOTION, decisions=[Decision.PROMOTED]), ledger.unfinished
    lines = [one for one in (crowned, unfinished) if one is not None]
    nights = [ledger.night_of(version) for one in lines for version in (one.version, one.champion)]
    found = (details_of(night, name) for night in nights for name in ("teacher", "student_run"))
    return {str(one) for one in found if one is not None}


def _is_held(path: Path, what: str) -> bool:
    """Whether somebody works on a folder, which is said."""
    try:
        with lease(path, what):
            return False
    except HeldElsewhereError as held:
        log.info(f"not tidied: {held}")
        return True


def _tidy_accepted(folder: Path, ledger: Ledger) -> int:
    accepted = ledger.last(NIGHT, decisions=[Decision.PROMOTED, Decision.KEPT])
    newest = ledger.last(NIGHT)  # which may have failed, and is submitted again
    known, freed = {f"{line.data}.json" for line in (accepted, newest) if line is not None}, 0
    for file in (folder / ACCEPTED).glob("*.json"):
        if file.name not in known:
            freed += file.stat().st_size
            file.unlink(missing_ok=True)
    return freed


def _bytes_of(folder: Path) -> int:
    """What the files of a folder take."""
    return sum(Path(inside, name).lstat().st_size for inside, _, names in os.walk(folder) for name in names)
