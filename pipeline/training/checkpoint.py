"""Checkpoints of a whole cohort in shared storage: complete or absent, resumable by any engine on any number of ranks.

By the same engine on as many ranks it goes on bit for bit (on CPU). Every rank calls `save` and `restore`. A checkpoint
is a folder `step-<n>` that is sealed when every rank has written its part; without its seal it does not count. The two
newest are kept, and each is read whole and compared with its digests before training goes on from it. `latest` names
the newest for people.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline import WRITTEN_BY
from pipeline.config.errors import sentence_of
from pipeline.console import gauges
from pipeline.storage.atomic import atomic_json, atomic_text, flush_folders
from pipeline.storage.digests import sha256_of
from pipeline.storage.sealed import (
    DamagedFileError,
    check_file,
    is_sealed,
    put_aside,
    read_seal,
    write_seal,
)
from pipeline.training.collective import barrier, gather_objects, rank, world_size
from pipeline.training.layout import Layout
from pipeline.training.loop import Learner, Progress
from pipeline.training.progress_file import FORMAT, PROGRESS, progress_of, written_under
from pipeline.training.state_file import read_state, write_state
from pipeline.training.tensor_states import SavedStates, write_parts

STEP = "step-"
NUM_KEPT = 2

log = logging.getLogger(__name__)


def has_checkpoint(folder: Path) -> bool:
    """Whether checkpoints lie in a folder, of use or not."""
    return any(is_sealed(step) or (step / PROGRESS).is_file() for step in _steps(folder))


def read_progress(folder: Path) -> dict[str, Any]:
    """What a checkpoint remembers beside the engines; nothing where there is none.

    It is the newest whose seal, list of files and progress are whole. Weights are not read: should they turn out to be
    damaged, training goes on from an earlier step, at which no more learners had left.
    """
    for step in _steps(folder):
        try:
            return progress_of(step, read_seal(step))
        except DamagedFileError:
            continue
    return {}


class Checkpointer:
    """Keeps the newest checkpoints of a cohort.

    Args:
        folder: where checkpoints of this cohort lie.
        needs_all: whether the cohort is of no use once one of its learners has failed.
    """

    def __init__(self, folder: Path, *, needs_all: bool = False) -> None:
        self.folder, self.needs_all = folder, needs_all

    def save(self, learners: list[Learner], progress: Progress) -> None:
        """Write the state of every learner that still trains, unless this step is written already.

        Nor where training is lost, because nobody is left of whom some have failed: the last step before that stays,
        and the next submission tries again what may have been a flake.
        """
        if any(one.failure is not None for one in learners) and (
            self.needs_all or not any(one.active for one in learners)
        ):
            return
        target = self.folder / f"{STEP}{progress.step:08d}"
        sealed = [step for step in _steps(self.folder) if is_sealed(step)]
        if gather_objects(sealed[:1])[0] == [target]:  # never touch a whole checkpoint
            return
        if rank() == 0:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
        barrier()
        digests: dict[str, str] = {}
        for index, learner in enumerate(learners):
            if learner.active:
                part = f"learner-{index}"
                written = write_parts(target / part, learner.engine.states())
                digests |= {f"{part}/{name}": sha256 for name, sha256 in written.items()}
        streams = {str(i): learner.random.state() for i, learner in enumerate(learners)}
        digests[_random_name()] = write_state(target / _random_name(), {target.name: streams})
        of_ranks = gather_objects(digests)
        if rank() == 0:
            left = {"failures": [one.failure for one in learners], "stopped": [one.stopped for one in learners]}
            layout = asdict(_layout_now(learners))
            summary = {"format": FORMAT, "written_by": WRITTEN_BY, **asdict(progress), **left, **layout}
            atomic_json(target / PROGRESS, summary)
            self._publish(target, {name: sha256 for of_rank in of_ranks for name, sha256 in of_rank.items()})
        barrier()

    def restore(self, learners: list[Learner]) -> Progress:
        """Load the newest whole checkpoint into the learners; a fresh start where there is none.

        All ranks take the same: each reads its share of the files, and what one finds damaged none uses. A damaged
        checkpoint is set aside, with a warning.
        """
        if rank() == 0:
            _show_time()  # what may be lost is counted from here on
        while (source := gather_objects(self._newest() if rank() == 0 else None)[0]) is not None:
            if (damage := self._damage(source)) is None:
                return self._load(source, learners)
            if rank() == 0:
                put_aside(damage, source, self._otherwise(source), like=STEP)
            barrier()
        return Progress()

    def clear(self) -> None:
        """Remove all checkpoints once the cohort's results are written."""
        if rank() == 0:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _load(self, source: Path, learners: list[Learner]) -> Progress:
        summary = gather_objects(progress_of(source, read_seal(source)) if rank() == 0 else None)[0]
        for name in ("failures", "stopped"):
            if (found := len(summary[name])) != len(learners):
                raise DamagedFileError(source / PROGRESS, f"{len(learners)} learners", f"{found} in '{name}'")
        before, now, step = written_under(summary), _layout_now(learners), summary["step"]
        if rank() == 0 and before != now:
            drawn = "" if now.draws_like(before) else "; random draws, such as dropout, differ from there on"
            log.info(f"training goes on with {now} from step {step}, which was written by {before}{drawn}")
        goes_on = rank() < before.num_ranks and before.device == now.device
        streams = read_state(source / _random_name(), "cpu") if goes_on else {}
        left = zip(learners, summary["failures"], summary["stopped"], strict=True)
        for index, (learner, failure, reason) in enumerate(left):
            with _readable(source / _random_name()):
                if goes_on:
                    learner.random.restore(streams[source.name][str(index)])
                else:
                    learner.random.restart(rank(), step)
            if failure is not None:
                learner.fail(failure)
            elif reason is not None:
                learner.stop(reason)
            elif learner.active:  # one that was taken out beforehand stays out
                learner.engine.load(SavedStates(source / f"learner-{index}"))
        return Progress(epoch=summary["epoch"], step_in_epoch=summary["step_in_epoch"], step=step)

    def _newest(self) -> Path | None:
        """The newest that is sealed; what is newer and is not was being written, or is of an earlier version."""
        for step in _steps(self.folder):
            if is_sealed(step):
                return step
            log.warning(f"checkpoint {step}: {_why_unsealed(step)}; {self._otherwise(step)}")
        return None

    def _otherwise(self, unusable: Path) -> str:
        """What happens when a checkpoint cannot be used, for people."""
        steps = _steps(self.folder)
        older = [step.name for step in steps[steps.index(unusable) + 1 :] if is_sealed(step)]
        return f"{older[0]}, the one before it, is tried" if older else "training starts afresh: there is no other"

    def _damage(self, source: Path) -> DamagedFileError | None:
        """What is wrong with a checkpoint, the same on every rank; each reads its share of the files.

        Rank 0 alone says which they are: views of shared storage may differ for a while.
        """
        digests: dict[str, str] = {}
        found: DamagedFileError | None = None
        try:
            if rank() == 0:
                digests = read_seal(source)
                progress_of(source, digests)
        except DamagedFileError as damage:
            found = damage
        digests, found = gather_objects((digests, found))[0]
        if found is not None:
            return found
        try:
            for name in sorted(digests)[rank() :: world_size()]:
                check_file(source, name, digests[name])
        except DamagedFileError as damage:
            found = damage
        return next((one for one in gather_objects(found) if one is not None), None)

    def _publish(self, target: Path, digests: dict[str, str]) -> None:
        flush_folders(target)
        write_seal(target, digests | {PROGRESS: sha256_of(target / PROGRESS)})
        atomic_text(self.folder / "latest", target.name)
        kept = [step for step in _steps(self.folder) if is_sealed(step)][:NUM_KEPT]
        for old in self.folder.glob(f"{STEP}*"):
            if old not in kept:
                shutil.rmtree(old, ignore_errors=True)
        _show_time()
        gauges.show(gauges.STORAGE_FREE, shutil.disk_usage(self.folder).free)


def _show_time() -> None:
    gauges.show(gauges.CHECKPOINT_TIME, time.time())


def _steps(folder: Path) -> list[Path]:
    """Folders of checkpoints, the newest first; names that nobody here gives are left out."""
    found = (path for path in folder.glob(f"{STEP}*") if _number(path).isdecimal() and path.is_dir())
    return sorted(found, key=lambda path: int(_number(path)), reverse=True)


def _number(step: Path) -> str:
    return step.name.removeprefix(STEP)


def _random_name() -> str:
    return f"random-{rank()}.pt"


def _layout_now(learners: list[Learner]) -> Layout:
    engine = learners[0].engine
    return Layout(engine=engine.name, num_ranks=world_size(), device=engine.device.type)


def _why_unsealed(step: Path) -> str:
    try:
        is_earlier = "format" not in json.loads((step / PROGRESS).read_text())
    except (OSError, ValueError):
        is_earlier = False
    if is_earlier:
        return "of an earlier version, which wrote no digests: nobody can say whether it is whole, so it is not used"
    return "it has no seal: its writers were interrupted, so it is not used"


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What lies there under a good digest may still be another state, or none.

    Raises:
        DamagedFileError: as said.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise DamagedFileError(
            path, "the state of a learner", f"{type(error).__name__}: {sentence_of(error)}"
        ) from error
