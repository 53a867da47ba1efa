"""Disks that are full or lose power."""

from __future__ import annotations

import signal

from chaos.disk import Disk
from chaos.fault import SAME, TOLD, Fault, check
from chaos.faults.processes import MOMENTS
from chaos.process import GO_ON, Answer, Moment
from chaos.scene import Scene

# Calls that make something last, in the order of a sweep; each in the middle of what it belongs to.
FLUSHES = ("1", "4", "9", "16", "25", "36", "49", "64")
SMALL_FILE_BYTES = 40_000  # less than a checkpoint of the small models
WRITES = {
    "a checkpoint": MOMENTS["a checkpoint is written"],
    "a package": MOMENTS["a package is written"],
    "the report": MOMENTS["report"],
}


def filled(scene: Scene, moment: str) -> str:
    """A disk of its own without a free byte: said in a sentence; once there is room, submitted again."""
    with Disk(scene.storage) as disk:
        answer = scene.run(at=[WRITES[moment]], doing=lambda *_: disk.fill() or GO_ON, prefix=disk.prefix)
        is_told(answer, "the disk is full")
        disk.free()
        scene.is_undisturbed(prefix=disk.prefix, storage=disk.seen_from_outside)
    return TOLD


def limited(scene: Scene, moment: str) -> str:
    """No file may become larger than a limit, as with a quota."""
    answer = scene.run(at=[WRITES[moment]], doing=lambda *_: ("limit files", SMALL_FILE_BYTES))
    is_told(answer, "the disk ")  # the database of the runs may meet it first
    scene.is_undisturbed()
    return TOLD


def unpowered(scene: Scene, moment: str) -> str:
    """The power goes just before a flush: what nobody has waited for may be lost, and is."""
    flush = Moment(module="pipeline.storage.atomic", function="flush_file", call=int(moment))
    answer = scene.run(at=[flush], doing=lambda *_: ("lose power", int(moment)))
    check(answer.code == -signal.SIGKILL, "it was to die", answer.last_words)
    scene.is_undisturbed()
    return SAME


def is_told(answer: Answer, reason: str) -> None:
    """A job has ended with exit code 2 and the reason in a sentence, or its students did.

    Raises:
        BrokenError: it has not.
    """
    check(answer.code in (1, 2), "it ends in a way that a scheduler can tell from a crash", answer.last_words)
    check(reason in " ".join(answer.said.split()), f"it says '{reason}'", answer.last_words)


KINDS = (
    Fault(name="disk full", how="a file system of its own without a free byte", moments=tuple(WRITES), inject=filled),
    Fault(
        name="files limited",
        how="RLIMIT_FSIZE, which every library meets",
        moments=("a checkpoint", "a package"),
        inject=limited,
    ),
    Fault(
        name="power cut",
        how="dies before its n-th flush; what was not flushed is cut, names not flushed are taken back",
        moments=FLUSHES,
        inject=unpowered,
        short="36",
    ),
)
