"""Processes that end, are asked to end, or are not alone."""

from __future__ import annotations

import os
import signal
import time

from chaos.fault import REFUSED, SAME, Fault, check
from chaos.process import GO_ON, Moment
from chaos.scene import Scene

NUM_TEACHER_STEPS, NUM_STUDENTS = 4, 2


def teacher_step(number: int) -> Moment:
    """Before an optimiser step of the teacher, which is the first to take any."""
    return Moment(module="pipeline.training.engine", function="TorchEngine.step", call=number)


def student_step(number: int, student: int = 1) -> Moment:
    """Before an optimiser step of one of the two students, who take theirs in turns."""
    return teacher_step(NUM_TEACHER_STEPS + NUM_STUDENTS * (number - 1) + student)


# Where a sweep may be, in its order.
MOMENTS = {
    "first step of the teacher": teacher_step(1),
    "second step of the students": student_step(2),
    "a checkpoint is written": Moment(
        module="pipeline.training.checkpoint", function="write_parts", call=3, after=True
    ),
    "last step of the students": student_step(6, 2),
    "a package is written": Moment(module="pipeline.export.package", function="write_package", after=True),
    "second student scored": Moment(module="pipeline.stages.sweep.student.score", function="score_student", call=2),
    "report": Moment(module="pipeline.stages.sweep.report", function="write_report"),
}
STOPPED_SECONDS = 10.0  # from the signal to a durable checkpoint
STOPPED_CODE = 75
DAY_SECONDS = 86_400.0


def killed(scene: Scene, moment: str) -> str:
    """SIGKILL, and submitted again."""
    answer = scene.run(at=[MOMENTS[moment]], doing=lambda *_: ("die",))
    check(answer.code == -signal.SIGKILL, "it was to die", answer.last_words)
    scene.is_undisturbed()
    return SAME


def asked_to_stop(scene: Scene, moment: str) -> str:
    """SIGTERM: a checkpoint within ten seconds, exit code 75, and submitted again."""
    asked = []

    def ask(_: int, process: int) -> tuple[str]:
        os.kill(process, signal.SIGTERM)
        asked.append(time.monotonic())
        return GO_ON

    answer = scene.run(at=[MOMENTS[moment]], doing=ask)
    took = time.monotonic() - asked[0]
    check(answer.code == STOPPED_CODE, "the exit code says: submit it again", answer.last_words)
    check(took < STOPPED_SECONDS, "it stops within ten seconds", f"{took:.1f} s")
    check(answer.document.get("status") == "stopped", "its last line says that it was stopped", answer.document)
    scene.is_undisturbed()
    return SAME


def submitted_twice(scene: Scene, moment: str, clock_seconds: float = 0.0) -> str:
    """The same command while the first one is held: refused, and the first one does not notice."""
    second = []

    def submit(*_: int) -> tuple[str]:
        second.append(scene.run(clock_seconds=clock_seconds))
        return GO_ON

    first = scene.run(at=[MOMENTS[moment]], doing=submit)
    refused = second[0]
    check(refused.code == 2 and "being trained by" in " ".join(refused.said.split()), "refused", refused.last_words)
    check(first.code == 0, "the first one finishes", first.last_words)
    scene.is_whole(first)
    return REFUSED


def clock_off(scene: Scene, moment: str) -> str:
    """Submitted twice, the second from a machine whose clock is a day off; and gone on with by one a day behind."""
    ahead = DAY_SECONDS if moment == "a day ahead" else -DAY_SECONDS
    submitted_twice(scene, "second step of the students", ahead)
    scene.is_undisturbed(clock_seconds=ahead)
    return SAME


KINDS = (
    Fault(
        name="driver killed",
        how="SIGKILL to the process of the job",
        moments=tuple(MOMENTS),
        inject=killed,
        short="second step of the students",
    ),
    Fault(
        name="pre-empted",
        how="SIGTERM to the process of the job",
        moments=tuple(name for name in MOMENTS if "step" in name),
        inject=asked_to_stop,
    ),
    Fault(
        name="submitted twice",
        how="the same command while the first one waits",
        moments=("second step of the students", "last step of the students", "report"),
        inject=submitted_twice,
    ),
    Fault(
        name="clock skew",
        how="a second process whose wall clock is a day off",
        moments=("a day ahead", "a day behind"),
        inject=clock_off,
    ),
)
