"""Numbers that are none, and memory that ends."""

from __future__ import annotations

from chaos.fault import TOLD, Fault, check
from chaos.faults.disks import is_told
from chaos.faults.processes import student_step, teacher_step
from chaos.scene import Scene

TEACHER = {"first step": teacher_step(1), "third step": teacher_step(3)}
STUDENT = {"first step": student_step(1), "third step": student_step(3, 2)}


def student_diverges(scene: Scene, moment: str) -> str:
    """Its gradients are NaN: it leaves, says at which step, and the other student is as if alone."""
    answer = scene.run(at=[STUDENT[moment]], doing=lambda *_: ("poison",))
    failures = [student["failure"] for student in answer.document.get("students", [])]
    check(answer.code == 1, "exit code 1: a student failed", answer.last_words)
    check(sorted(one is None for one in failures) == [False, True], "one fails and one finishes", failures)
    check(any(one and "gradient norm is nan" in one for one in failures), "it says why", failures)
    scene.is_undisturbed()
    return TOLD


def teacher_diverges(scene: Scene, moment: str) -> str:
    """Nothing is trained from it."""
    answer = scene.run(at=[TEACHER[moment]], doing=lambda *_: ("poison",))
    is_told(answer, "the teacher diverged")
    check(not list(scene.storage.glob("sweeps/*/students/*/packed")), "no student is made of it")
    scene.is_undisturbed()
    return TOLD


def out_of_memory(scene: Scene, moment: str) -> str:
    """An allocation fails in a worker: it says what to lower."""
    answer = scene.run(at=[STUDENT[moment]], doing=lambda *_: ("take memory",))
    is_told(answer, "ran out of the memory")
    scene.is_undisturbed()
    return TOLD


KINDS = (
    Fault(name="student NaN", how="its gradients", moments=tuple(STUDENT), inject=student_diverges),
    Fault(name="teacher NaN", how="its gradients", moments=tuple(TEACHER), inject=teacher_diverges),
    Fault(
        name="out of memory", how="an allocation that fails, in a step", moments=tuple(STUDENT), inject=out_of_memory
    ),
)
