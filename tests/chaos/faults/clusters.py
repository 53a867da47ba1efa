"""Ray: workers, raylets and heads that die, and fewer or more workers than before."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable

import psutil

from chaos.fault import SAME, TOLD, BrokenError, Fault, check
from chaos.faults.processes import MOMENTS, STOPPED_CODE
from chaos.process import GO_ON, Job
from chaos.scene import LIGHT, SWEEP, Scene, runs

RAY = ["cluster=local", "cluster.address=local", *LIGHT[1:], "cluster.num_workers=2", "cluster.lost_node_seconds=5"]
SWEEP_ON_RAY = [*(word for word in SWEEP if word not in LIGHT), *RAY]
NO_CHANCE = ["teacher.dropout=0", "student.dropout=0"]  # each worker draws its own
AT = ("first step of the teacher", "second step of the students")
CHANGES = {"2 workers to 1": (2, 1), "1 worker to 2": (1, 2)}
# Losses are summed in another order, and roundings of quantized weights flip where sums differ in their last bit.
TOLERANCE, LEAST = 2e-3, 1e-6


def worker_killed(scene: Scene, moment: str) -> str:
    """SIGKILL to one worker in a step: Ray Train starts the group again, and nobody submits anything."""
    scene.is_undisturbed(SWEEP_ON_RAY, at=[MOMENTS[moment]], doing=lambda *_: ("die",))
    return SAME


def driver_killed(scene: Scene, moment: str) -> str:
    """SIGKILL to the job while its workers train: they end with it, and the next submission goes on."""
    job = scene.start(SWEEP_ON_RAY, moments=[MOMENTS[moment]])
    job.doing = lambda *_: job.process.kill() or GO_ON
    answer = job.end()
    check(answer.code == -signal.SIGKILL, "it was to die", answer.last_words)
    scene.is_undisturbed(SWEEP_ON_RAY)
    return SAME


def pre_empted(scene: Scene, moment: str) -> str:
    """SIGTERM to the job: its workers save their step."""
    job = scene.start(SWEEP_ON_RAY, moments=[MOMENTS[moment]])
    job.doing = lambda *_: os.kill(job.process.pid, signal.SIGTERM) or GO_ON
    answer = job.end()
    check(answer.code == STOPPED_CODE, "the exit code says: submit it again", answer.last_words)
    scene.is_undisturbed(SWEEP_ON_RAY)
    return SAME


def lost(name: str) -> Callable[[Scene, str], str]:
    """A process of Ray's own is killed, without which nothing there can go on: the job says so, and ends."""

    def inject(scene: Scene, moment: str) -> str:
        job = scene.start(SWEEP_ON_RAY, moments=[MOMENTS[moment]])
        job.doing = lambda *_: of_ray(job, name).kill() or GO_ON
        answer = job.end()
        if answer.code == 0:  # what was left to do was done before anybody missed it
            scene.is_whole(answer, SWEEP_ON_RAY)
            return SAME
        check(answer.code in (2, 3, STOPPED_CODE) and "error" in answer.document, "it says why", answer.last_words)
        left = [state for _, state in runs(scene.storage)]
        check("RUNNING" not in left, "its runs have ended", f"{left} {answer.last_words}")
        scene.is_undisturbed(SWEEP_ON_RAY)
        return TOLD

    return inject


def other_number(scene: Scene, moment: str) -> str:
    """Pre-empted, and submitted again with another number of workers: losses as if nothing had been."""
    before, after = CHANGES[moment]
    first, second = (
        [*(word for word in SWEEP_ON_RAY if "num_workers" not in word), *NO_CHANCE, f"cluster.num_workers={num}"]
        for num in (before, after)
    )
    job = scene.start(first, moments=[MOMENTS["second step of the students"]])
    job.doing = lambda *_: os.kill(job.process.pid, signal.SIGTERM) or GO_ON
    check(job.end().code == STOPPED_CODE, "it is stopped")
    answer = scene.run(second)
    check(answer.code == 0, "it goes on", answer.last_words)
    check("afresh" not in answer.said, "it does not start afresh", answer.last_words)
    expected = scene.references.of(second)["scores"]
    for student in answer.document["students"]:
        for name, value in student["metrics"].items():
            wanted = expected[student["name"]].get(name)
            if name.endswith("loss") and not math.isclose(value, wanted, rel_tol=TOLERANCE, abs_tol=LEAST):
                raise BrokenError(f"{student['name']}: {name} is {value} instead of {wanted}")
    return SAME


def of_ray(job: Job, name: str) -> psutil.Process:
    """The process of that name which a job has started."""
    found = psutil.Process(job.process.pid).children(recursive=True)
    return next(process for process in found if process.name().startswith(name))


KINDS = (
    Fault(name="Ray: worker killed", how="SIGKILL to one of two", moments=AT, inject=worker_killed),
    Fault(name="Ray: driver killed", how="SIGKILL to the job", moments=AT, inject=driver_killed),
    Fault(name="Ray: pre-empted", how="SIGTERM to the job", moments=AT, inject=pre_empted),
    Fault(name="Ray: raylet lost", how="SIGKILL to the only raylet", moments=AT, inject=lost("raylet")),
    Fault(name="Ray: head lost", how="SIGKILL to its store of state", moments=AT, inject=lost("gcs_server")),
    Fault(name="Ray: workers changed", how="SIGTERM, then another number", moments=tuple(CHANGES), inject=other_number),
)
