"""What earlier nights say of tonight: who the champion is, what was accepted, which test set is frozen."""

from __future__ import annotations

import logging
from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.retraining.decisions import Decision
from pipeline.stages.retrain.data import Accepted, accepted_of
from pipeline.stages.retrain.ledger import NIGHT, Ledger, details_of

log = logging.getLogger(__name__)


def check_champion(ledger: Ledger, champion: str | None, name: str) -> None:
    """Say where registry and ledger disagree.

    Raises:
        UserError: there was a champion, and the registry knows of none.
    """
    crowned = ledger.crowned
    if crowned is None or crowned.version == champion:
        return
    if champion is None:
        raise UserError(
            f"{name} has no alias `champion`, and by the ledger version {crowned.version} is the champion",
            "the registered model that the ledger is about",
            f"look at tracking.uri; to set the alias again: rollback=true to={crowned.version}",
        )
    log.warning(f"the champion is version {champion}, and by the ledger {crowned.version}: moved by hand")


def accepted_before(config: RetrainJob, ledger: Ledger, folder: Path) -> Accepted | None:
    """What the newest night that trained had; none before the first.

    Raises:
        UserError: nobody knows any more.
    """
    trained = ledger.last(NIGHT, decisions=[Decision.PROMOTED, Decision.KEPT])
    found = None if trained is None else accepted_of(folder, trained.data)
    if trained is not None and found is None and not config.retrain.force:
        raise UserError(
            f"the examples that night {trained.number} was trained on are gone or damaged ({folder})",
            "the file that it has written: else nothing tells what is new, or whether it is of the same kind",
            "put it back, or say force=true once: then everything counts as new",
        )
    return found


def frozen_moved(config: RetrainJob, ledger: Ledger, digest: str) -> str | None:
    """Why the test split is not the frozen set of the nights before; none: it is, or it may be another one."""
    lines = reversed(ledger.lines)
    scored = next((one for one in lines if one.event == NIGHT and details_of(one, "score") is not None), None)
    if scored is None or scored.frozen == digest or config.retrain.new_frozen_set:
        return None
    return (
        "the test split is not the frozen set of the nights before: put the file back, or say new_frozen_set=true "
        "once, and this one is the frozen set from now on"
    )


def teacher_of(ledger: Ledger, champion: str | None) -> str | None:
    """The folder of the champion's teacher; none where there is none any more."""
    found = details_of(None if champion is None else ledger.night_of(champion), "teacher")
    if found is None:
        return None
    if not Path(found).is_dir():
        log.warning(f"the champion's teacher is not there any more ({found}): the model that is configured is taken")
        return None
    return str(found)
