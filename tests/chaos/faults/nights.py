"""Nights of scheduled retraining: what is decided, written, moved and asked happens once, whatever comes between."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from mlflow import MlflowClient
from small_task import LENGTHS, SIZES

from chaos.fault import REFUSED, SAME, TOLD, Fault, check
from chaos.faults.processes import MOMENTS, STOPPED_CODE
from chaos.process import GO_ON, Answer, Moment
from chaos.scene import LIGHT, Scene, write_corpus
from chaos.scene import STEPS as OF_STUDENTS

NAME = "chaos"
SETTINGS = ["gates.min_parity=0", "data_checks.min_examples=10", "data_checks.max_length_shift=1"]
SETTINGS += ["data_checks.max_letter_shift=1", "data_checks.max_commonest=1", "data_checks.max_duplicates=1"]
SETTINGS += ["retrain.timing_examples=1", "retrain.timing_rounds=1", "retrain.alignment_examples=0"]
SETTINGS += ["sweep.students=[{scheme: 8-8-8, depth: 1-1}]", f"retrain.name={NAME}"]
NIGHT = ["jobs/retrain.py", *LENGTHS, *SIZES, *LIGHT, *SETTINGS, *OF_STUDENTS]

LEDGER = "pipeline.stages.retrain.ledger"
STEPS = {
    "students in training": MOMENTS["second step of the students"],
    "before the decision is written": Moment(module=LEDGER, function="Ledger.append"),
    "decided, no alias moved": Moment(module=LEDGER, function="Ledger.append", after=True),
    "aliases moved, not asked": Moment(module="pipeline.serving.promotion", function="point", after=True),
    "asked, not written down": Moment(module=LEDGER, function="Ledger.append", call=2),
}
READ = Moment(module="pipeline.stages.retrain.sources", function="Sources.changed_while_read")
LINES = {
    "the decision": STEPS["before the decision is written"],
    "what became of it": STEPS["asked, not written down"],
}
EXPECTED = [["night", "PROMOTED"], ["promotion", "PROMOTED"]]
PROMOTED_CODE, NO_CHANGE_CODE = 0, 0


def killed(scene: Scene, moment: str) -> str:
    """SIGKILL, and the next tick."""
    answer = scene.run(NIGHT, at=[STEPS[moment]], doing=lambda *_: ("die",))
    check(answer.code == -signal.SIGKILL, "it was to die", answer.last_words)
    is_one_night(scene, scene.run(NIGHT))
    return SAME


def unpowered(scene: Scene, moment: str) -> str:
    """The power goes before a flush; the next tick comes when it is back."""
    flush = Moment(module="pipeline.storage.atomic", function="flush_file", call=int(moment))
    answer = scene.run(NIGHT, at=[flush], doing=lambda *_: ("lose power", int(moment)))
    check(answer.code == -signal.SIGKILL, "it was to die", answer.last_words)
    is_one_night(scene, scene.run(NIGHT))
    return SAME


def asked_to_stop(scene: Scene, moment: str) -> str:
    """SIGTERM: nothing is decided, the lease is given back, and the next tick goes on."""
    answer = scene.run(NIGHT, at=[STEPS[moment]], doing=lambda _, process: os.kill(process, signal.SIGTERM) or GO_ON)
    check(answer.code == STOPPED_CODE, "the exit code says: submit it again", answer.last_words)
    is_one_night(scene, scene.run(NIGHT))
    return SAME


def ticked_twice(scene: Scene, moment: str) -> str:
    """A second scheduler while the first one's night is held, and a burst of ticks afterwards: one night's work."""
    second = []
    first = scene.run(NIGHT, at=[STEPS[moment]], doing=lambda *_: second.append(scene.run(NIGHT)) or GO_ON)
    check(second[0].document.get("decision") == "NO_CHANGE", "nothing to do for the second", second[0].last_words)
    is_one_night(scene, first)
    later = scene.run(NIGHT)
    check(later.document.get("decision") == "NO_CHANGE", "nor for a later one", later.last_words)
    check(len(decisions(scene)) == len(EXPECTED) + 1, "that one has a line, too", decisions(scene))
    return REFUSED


def full_at_the_ledger(scene: Scene, moment: str) -> str:
    """No room for a line: what is not written down is not done, and is done when there is room."""
    answer = scene.run(NIGHT, at=[LINES[moment]], doing=lambda *_: ("refuse",))
    check(answer.document.get("decision") == "FAILED", "FAILED", answer.last_words)
    check("disk is full" in answer.said or "No space left" in answer.said, "it says why", answer.last_words)
    is_one_night(scene, scene.run(NIGHT))
    return TOLD


def data_changed(scene: Scene, moment: str) -> str:
    """A data file is written anew: while it is read it is refused, later it is the next night's."""
    at = {"while they are read": READ, "while students are trained": STEPS["students in training"]}[moment]
    answer = scene.run(NIGHT, at=[at], doing=lambda *_: write_corpus(scene.corpus, seed=1) or GO_ON)
    said = " ".join(answer.document.get("reasons", []))
    if at is READ:
        check(answer.document.get("decision") == "REFUSED" and "changed while" in said, "refused", answer.last_words)
        answer = scene.run(NIGHT)
        taken = answer.document.get("decision") in ("PROMOTED", "KEPT")  # of other data another model
        check(taken and decisions(scene)[0] == ["night", "REFUSED"], "as it is now it is taken", answer.last_words)
        return REFUSED
    check("changed since the night has read" in said, "it says so", said)
    is_one_night(scene, answer)
    return SAME


def told_nobody(scene: Scene, moment: str) -> str:
    """Who shall be told hangs, or fails: the night is what it was."""
    command = {"hangs": "sleep 3600", "fails": "exit 7"}[moment]
    words = [f"retrain.notify_command=[sh, -c, {command}]", "retrain.notify_seconds=2"]
    answer = scene.run([*NIGHT, *words])
    check("notif" in answer.said, "it says that nobody was told", answer.last_words)
    is_one_night(scene, answer)
    return SAME


def ledger_changed(scene: Scene, moment: str) -> str:
    """A line that somebody has edited: nothing is decided on such ground, and nothing is overwritten."""
    is_one_night(scene, scene.run(NIGHT))
    path = scene.storage / "retrain" / NAME / "ledger.jsonl"
    written = path.read_text()
    path.write_text({"edited": written.replace("PROMOTED", "KEPT", 1), "cut": written[: len(written) // 2]}[moment])
    answer = scene.run(NIGHT)
    check(
        answer.code == 2 and "put the file back from a copy" in " ".join(answer.said.split()),
        "refused",
        answer.last_words,
    )
    check(path.read_text() != written, "nothing is written over it")
    path.write_text(written)
    later = scene.run(NIGHT)
    check(later.document.get("decision") == "NO_CHANGE", "with its copy back it goes on", later.last_words)
    return REFUSED


def is_one_night(scene: Scene, answer: Answer) -> None:
    """The first champion was promoted, and everything about it says so once.

    Raises:
        BrokenError: it was not.
    """
    check(answer.code == PROMOTED_CODE, "the night ends well", answer.last_words)
    lines, nothing = decisions(scene), ["night", "NO_CHANGE"]  # of a tick that had but to finish what was decided
    check(lines in (EXPECTED, [*EXPECTED, nothing]), "each line once", lines)
    found = {name: version for name, version in aliases(scene).items() if name in ("champion", "previous")}
    check(found == {"champion": "1"}, "the registry has one champion", found)
    check(answer.document.get("champion") == "1", "the last line names it", answer.document)


def decisions(scene: Scene) -> list[list[str]]:
    """Event and decision of every line of the ledger."""
    path = scene.storage / "retrain" / NAME / "ledger.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [[line["event"], line["decision"]] for line in lines]


def aliases(scene: Scene) -> dict[str, Any]:
    """Alias -> version."""
    client = MlflowClient(f"sqlite:///{scene.storage / 'mlflow.db'}")
    return {name: str(version) for name, version in client.get_registered_model(NAME).aliases.items()}


KINDS = (
    Fault(
        name="night killed",
        how="SIGKILL to retrain.py",
        moments=tuple(STEPS),
        inject=killed,
        short="decided, no alias moved",
    ),
    Fault(
        name="power cut in a night",
        how="as above, in retrain.py",
        moments=("20", "50", "80", "90", "100"),
        inject=unpowered,
    ),
    Fault(
        name="night pre-empted",
        how="SIGTERM to retrain.py",
        moments=("students in training",),
        inject=asked_to_stop,
    ),
    Fault(
        name="two schedulers",
        how="a second retrain.py beside it, and one after",
        moments=("students in training", "decided, no alias moved"),
        inject=ticked_twice,
    ),
    Fault(name="disk full at the ledger", how="ENOSPC at a line", moments=tuple(LINES), inject=full_at_the_ledger),
    Fault(name="notification", how="the command hangs, or fails", moments=("hangs", "fails"), inject=told_nobody),
    Fault(
        name="night's data change",
        how="files written anew",
        moments=("while they are read", "while students are trained"),
        inject=data_changed,
    ),
    Fault(name="ledger changed", how="while nothing runs", moments=("edited", "cut"), inject=ledger_changed),
)
