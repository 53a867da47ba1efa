"""Checkpoints of a cohort: the newest is restored, or with a warning an older one or none, or all is refused.

No check can see another number among weights and moments, or another position in a random stream, where checksums were
made again. One that is not finite takes its learner out at the next step, with a word.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from fuzz.case import Case, Subject
from fuzz.checksums import made_again
from fuzz.differences import plausible
from fuzz.mutations import Change, changed_files, read, write
from pipeline.config.errors import NonFiniteError
from pipeline.config.sections.training import TrainConfig
from pipeline.training.checkpoint import Checkpointer, read_progress
from pipeline.training.engine import TorchEngine
from pipeline.training.loop import Learner, Progress
from pipeline.training.optim import adamw
from pipeline.training.random_stream import RandomStream

CPU = torch.device("cpu")
STEPS = (2, 3)
SILENT: Any = SimpleNamespace(metrics=lambda *_: None, failed=lambda *_: None, stopped=lambda *_: None)


def prepare(folder: Path) -> dict[str, Any]:
    """Checkpoints of two learners after two and three steps, and what is restored: from the newest, older, or none."""
    torch.set_num_threads(1)
    learners, checkpointer = cohort(), Checkpointer(folder / "whole")
    states = [restored(folder / "nothing")]
    for step in range(1, STEPS[-1] + 1):
        for learner in learners:
            _train(learner)
        if step in STEPS:
            checkpointer.save(learners, Progress(epoch=0, step_in_epoch=step, step=step))
            shutil.copytree(folder / "whole", folder / f"after-{step}")
            states.append(restored(folder / f"after-{step}"))
    return {"files": read(folder / "whole"), "states": states[::-1]}


def cohort() -> list[Learner]:
    """Two small learners that have not learned anything."""
    return [_learner(seed) for seed in (1, 2)]


def _learner(seed: int) -> Learner:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3))
    engine = TorchEngine(model, adamw(model.parameters(), TrainConfig()), precision="fp32", max_gradient_norm=1.0)
    parts: dict[str, Any] = {"objective": None, "learning_rate": lambda step: 1e-3, "listener": SILENT}
    return Learner(name=f"learner {seed}", engine=engine, random=RandomStream(seed, CPU), **parts)


def _train(learner: Learner) -> None:
    with learner.random:
        loss = learner.engine.forward(input=torch.randn(4, 6)).square().mean()
    learner.engine.backward(loss)
    learner.engine.step(1e-3)


def restored(folder: Path) -> dict[str, Any]:
    """Everything that learners are after a checkpoint was restored."""
    torch.set_num_threads(1)
    learners = cohort()
    progress = Checkpointer(folder).restore(learners)
    remembered = read_progress(folder)  # before, it would be of the newest, whose weights nobody had read
    state = {
        "progress": asdict(progress),
        "remembered": {name: remembered.get(name, 0) for name in asdict(progress)},
        "left": [(learner.failure, learner.stopped) for learner in learners],
        "models": [_plain(learner.engine.module.state_dict()) for learner in learners],
        "optimisers": [_plain(learner.engine.optimiser.state_dict()) for learner in learners],  # type: ignore[attr-defined]
        "random": [_plain(learner.random.state()) for learner in learners],
    }
    for learner in learners:  # it must be possible to go on
        if learner.active:
            with contextlib.suppress(NonFiniteError):  # the loop would take it out
                _train(learner)
    return state


def _plain(value: Any) -> Any:
    """Tensors as bytes, in containers that compare."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), value.numpy().tobytes())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


class _Heard(logging.Handler):
    """Whether anything was said as a warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def case(good: dict[str, Any], rng: Random, folder: Path) -> Case:
    """The checkpoints with something changed, their checksums as they were or made again."""
    files, (newest, *older) = good["files"], good["states"]
    is_value = rng.random() < 0.12
    change = _another_value(files, rng) if is_value else changed_files(files, [], rng)
    remade = rng.random() < 0.5
    now = made_again(files, change.files) if remade else change.files
    write(now, folder / "checkpoints")
    heard = _Heard()

    def call() -> dict[str, Any]:
        logging.getLogger("pipeline").addHandler(heard)
        try:
            state = restored(folder / "checkpoints")
        finally:
            logging.getLogger("pipeline").removeHandler(heard)
        # An older one, or none, is right where it is said.
        return newest if heard.messages and state in older else state

    return Case(
        change=f"{change.what}{', checksums made again' if remade else ''}",
        call=call,
        expected=(newest,),
        is_unseen=lambda _: remade and _could_be(change, files),
    )


def _could_be(change: Change, files: dict[str, bytes]) -> bool:
    """Whether a file with a checksum of its own could hold this as well."""
    if change.name.endswith(".json"):
        found = change.difference(files)
        if found is None:
            return False
        is_reason = found.before is None and isinstance(found.after, str)  # of a learner that failed or was stopped
        return is_reason or plausible(found.before, found.after)
    return change.kind in ("bytes", "value")


def _another_value(files: dict[str, bytes], rng: Random) -> Change:
    """One number of a file of tensors changed, the file written as before."""
    name = rng.choice([one for one in sorted(files) if one.endswith(".pt")])
    content = torch.load(io.BytesIO(files[name]), weights_only=True)
    tensor = rng.choice(list(_tensors(content)))
    flat = tensor.view(-1)
    place = rng.randrange(flat.numel())
    odd = [0, 1, 255] if not tensor.is_floating_point() else [0.0, 1e-3, -1.0, 1e30, float("nan"), float("inf")]
    before, flat[place] = flat[place].item(), rng.choice(odd)
    out = io.BytesIO()
    torch.save(content, out)
    what = f"{name}: a number {before} became {flat[place].item()}"
    return Change(what=what, files={**files, name: out.getvalue()}, kind="value", name=name)


def _tensors(value: Any) -> Iterable[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        if value.numel():
            yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)


SUBJECT = Subject(name="checkpoints", prepare=prepare, case=case)
