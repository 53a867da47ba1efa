"""What earlier nights have left and nobody needs is removed: data, answers, teachers, sweeps, copies of models."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from pipeline.retraining.decisions import Decision
from pipeline.stages.retrain.data import ACCEPTED
from pipeline.stages.retrain.ledger import FILE, NIGHT, PROMOTION, Ledger, Line, details_of
from pipeline.stages.retrain.made import made_by_nights
from pipeline.storage.atomic import remove_folder
from pipeline.storage.layout import Storage
from pipeline.storage.lease import HeldElsewhereError, lease
from pipeline.tracking.everywhere import runs_where
from pipeline.tracking.tracker import Tracker

MAX_RUN_SECONDS = 30 * 24 * 3600.0  # after which a run that claims to run is of a process that was killed
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
    if (worker := _at_work(tracker)) is not None:
        log.info(f"not tidied: run {worker} is running, and may need what is there")
        return 0
    nights = [path for path in (folder / NIGHTS).glob("*") if path.is_dir()]
    nights.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    kept = {path.name for path in nights[:keep_nights]}
    made = made_by_nights(
        tracker, storage, (folder / NIGHTS).absolute(), kept, _needed(ledger), _over(ledger, keep_nights)
    )
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
            try:
                remove_folder(path)
            except OSError as error:  # the others go all the same
                log.warning(f"{what} {path.name} was not removed: {error}")
                continue
            freed += num_bytes
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


def _over(ledger: Ledger, keep_nights: int) -> dict[str, set[str]]:
    """Keys of sweeps and teachers that nights which are over have named, and neither newer nights nor other ledgers."""
    mine = [line for line in ledger.lines if details_of(line, "sweep") is not None]
    folder = ledger.path.parent
    others = [Ledger(path.parent).lines for path in folder.parent.glob(f"*/{FILE}") if path.parent != folder]
    kept = [*mine[-keep_nights:], *(line for lines in others for line in lines)]
    return {
        kind: {one for one in map(key, mine[:-keep_nights]) if one} - set(map(key, kept))
        for kind, key in (("sweep", _sweep_key), ("teacher", _teacher_key))
    }


def _sweep_key(line: Line) -> str:
    return str(details_of(line, "sweep") or "")


def _teacher_key(line: Line) -> str:
    return Path(str(details_of(line, "teacher") or "")).parent.name  # of the folder of its model


def _at_work(tracker: Tracker) -> str | None:
    """A run of any job that is running: what it has read it may read again; one that died long ago is none."""
    oldest = int((time.time() - MAX_RUN_SECONDS) * 1000)
    running = runs_where(tracker.client, f"attributes.status = 'RUNNING' and attributes.start_time > {oldest}")
    return running[0].run_id if running else None


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
