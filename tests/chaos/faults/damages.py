"""Files that are not what was written: a bit flipped, the end cut off, emptied, gone."""

from __future__ import annotations

from pathlib import Path

from damage import DAMAGES, damage

from chaos.fault import SAME, Fault, check
from chaos.faults.processes import student_step
from chaos.scene import Scene

LATE = student_step(6)  # two checkpoints of the students are there
DONE = None
# When the job is interrupted for it (none: it is over), which files, how many of them (newest first), which damages.
TARGETS = {
    "newest checkpoint": (LATE, "sweeps/*/checkpoints/*/step-*[0-9]/learner-0/*", 1, DAMAGES),
    "both checkpoints": (LATE, "sweeps/*/checkpoints/*/step-*[0-9]/learner-0/*", 2, DAMAGES),
    "progress of a checkpoint": (LATE, "sweeps/*/checkpoints/*/step-*[0-9]/progress.json", 1, DAMAGES),
    "cached tokens": (LATE, "cache/tokens/*/train/*.arrow", 1, DAMAGES),
    "cached tokenizer": (LATE, "cache/tokenizers/*/tokenizer.json", 1, DAMAGES),
    "teacher's weights": (LATE, "teachers/*/model/model.safetensors", 1, DAMAGES),
    "finished package": (DONE, "sweeps/*/students/*/packed/model.safetensors", 1, DAMAGES),
    "teacher's result": (DONE, "teachers/*/result.json", 1, DAMAGES),
}


def damaged(scene: Scene, target: str, kind: str) -> str:
    """Interrupted, damaged, submitted again: noticed, said, and made anew."""
    moment, pattern, num, _ = TARGETS[target]
    if moment is None:
        answer = scene.run()
        check(answer.code == 0, "it finishes", answer.last_words)
    else:
        scene.run(at=[moment], doing=lambda *_: ("die",))
    files = sorted(scene.storage.glob(pattern), key=_newest_first)[:num]
    check(len(files) == num, f"{num} files to damage", pattern)
    for file in files:
        damage(file, kind)
    scene.is_undisturbed()
    return SAME


def _newest_first(path: Path) -> tuple[str, str]:
    step = next((part for part in path.parts if part.startswith("step-")), "")
    return "".join(chr(0x10FFFF - ord(one)) for one in step), str(path)


def _kind(target: str, short: str | None = None) -> Fault:
    return Fault(
        name=f"damaged: {target}",
        how="while nothing runs",
        moments=tuple(TARGETS[target][3]),
        inject=lambda scene, kind: damaged(scene, target, kind),
        short=short,
    )


KINDS = (
    *(_kind(target) for target in TARGETS if target != "newest checkpoint"),
    _kind("newest checkpoint", short="flipped"),
)
