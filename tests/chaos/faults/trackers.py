"""MLflow that is away, and its database locked."""

from __future__ import annotations

import sqlite3

from chaos.fault import REFUSED, SAME, Fault, check
from chaos.faults.processes import MOMENTS
from chaos.process import GO_ON, Moment
from chaos.scene import SWEEP, Scene
from chaos.server import Server

WAITS = Moment(module="pipeline.tracking.retry", function="reason_of")  # it has noticed, and says so
# Gone at the first, there again at the second.
AWAY = {
    "in training": (MOMENTS["second step of the students"], MOMENTS["last step of the students"]),
    "while a package is written": (MOMENTS["a package is written"], WAITS),
    "at the end": (MOMENTS["report"], WAITS),
}
LOCKED = {
    "in training": (MOMENTS["second step of the students"], MOMENTS["last step of the students"]),
    "at the end": (MOMENTS["report"], WAITS),
}


def away_at_start(scene: Scene, _: str) -> str:
    """Refused before anything is read or made; with the server there, it runs."""
    with Server(scene.storage) as server:
        command = [*SWEEP, f"tracking.uri={server.url}"]
        answer = scene.run(command)
        check(answer.code == 2 and "no MLflow server at" in answer.said, "refused", answer.last_words)
        made = [path.name for path in scene.storage.glob("cache/*")]
        check(made == ["tracking"], "nothing but the place of a lease was made", made)
        server.start()
        scene.is_undisturbed(command, like=SWEEP)
    return REFUSED


def away(scene: Scene, moment: str) -> str:
    """Stopped in the middle, and started again later: nobody submits anything, and nothing is missing."""
    with Server(scene.storage) as server:
        server.start()
        at, doings = AWAY[moment], (server.stop, server.start)
        scene.is_undisturbed(
            [*SWEEP, f"tracking.uri={server.url}"],
            like=SWEEP,
            at=at,
            doing=lambda number, _: doings[number]() or GO_ON,
        )
    return SAME


def locked(scene: Scene, moment: str) -> str:
    """Another process holds the local database for itself for a while."""
    holders: list[sqlite3.Connection] = []

    def lock() -> None:
        holders.append(sqlite3.connect(scene.storage / "mlflow.db", isolation_level=None, check_same_thread=False))
        holders[0].execute("BEGIN EXCLUSIVE")

    def release() -> None:
        holders[0].execute("ROLLBACK")
        holders[0].close()

    doings = (lock, release)
    scene.is_undisturbed(at=LOCKED[moment], doing=lambda number, _: doings[number]() or GO_ON)
    return SAME


KINDS = (
    Fault(name="MLflow away at the start", how="no server there", moments=("the first try",), inject=away_at_start),
    Fault(name="MLflow away", how="its server killed, and started again later", moments=tuple(AWAY), inject=away),
    Fault(name="MLflow locked", how="another process holds its database", moments=tuple(LOCKED), inject=locked),
)
