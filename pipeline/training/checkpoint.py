"""Checkpoints of a whole cohort in shared storage: complete or absent, resumable; on CPU bit for bit.

Every rank calls `save` and `restore`. A checkpoint is a folder `step-<n>`; `latest` names the newest complete one.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from pipeline.storage.atomic import atomic_text
from pipeline.training.collective import barrier, gather_objects, rank
from pipeline.training.loop import Learner, Progress


def read_progress(folder: Path) -> dict[str, Any]:
    """What the newest checkpoint in a folder remembers beside the engines; nothing where there is none."""
    pointer = folder / "latest"
    summary: dict[str, Any] = {}
    if pointer.is_file():
        summary = json.loads((folder / pointer.read_text() / "progress.json").read_text())
    return summary


class Checkpointer:
    """Keeps the newest checkpoint of a cohort.

    Args:
        folder: where checkpoints of this cohort lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, learners: list[Learner], progress: Progress) -> None:
        """Write the state of every learner that still trains, unless this step is written already."""
        target = self.folder / f"step-{progress.step:08d}"
        if self._latest() == target:  # never touch the one whole checkpoint
            return
        if rank() == 0:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
        barrier()
        for index, learner in enumerate(learners):
            if learner.active:
                learner.engine.save(target / f"learner-{index}")
        streams = {str(i): learner.random.state() for i, learner in enumerate(learners)}
        torch.save(streams, target / f"random-{rank()}.pt")
        barrier()
        if rank() == 0:
            left = {"failures": [one.failure for one in learners], "stopped": [one.stopped for one in learners]}
            summary = {**asdict(progress), **left}
            (target / "progress.json").write_text(json.dumps(summary))
            self._publish(target)
        barrier()

    def restore(self, learners: list[Learner]) -> Progress:
        """Load the newest complete checkpoint into the learners; a fresh start where there is none."""
        source = self._latest()
        if source is None:
            return Progress()
        summary = json.loads((source / "progress.json").read_text())
        streams = torch.load(source / f"random-{rank()}.pt", weights_only=True)
        failures, stopped = summary.pop("failures"), summary.pop("stopped", [None] * len(learners))
        for index, (learner, failure, reason) in enumerate(zip(learners, failures, stopped, strict=True)):
            learner.random.restore(streams[str(index)])
            if failure is not None:
                learner.fail(failure)
            elif reason is not None:
                learner.stop(reason)
            elif learner.active:  # one that was taken out beforehand stays out
                learner.engine.load(source / f"learner-{index}")
        return Progress(**summary)

    def clear(self) -> None:
        """Remove all checkpoints once the cohort's results are written."""
        if rank() == 0:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _latest(self) -> Path | None:
        """The newest complete one; as rank 0 sees it, because views of shared storage may differ for a while."""
        pointer = self.folder / "latest"
        newest: Path | None = gather_objects(self.folder / pointer.read_text() if pointer.is_file() else None)[0]
        return newest

    def _publish(self, target: Path) -> None:
        atomic_text(self.folder / "latest", target.name)
        for old in self.folder.glob("step-*"):
            if old != target:
                shutil.rmtree(old, ignore_errors=True)
