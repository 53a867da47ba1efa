"""Where training is asked to stop it leaves a checkpoint, from which it goes on as if nothing had been."""

import logging
import signal

import pytest
import torch

from pipeline.config.sections.training import TrainConfig
from pipeline.data.batch import collate
from pipeline.stages.training import train_with_checkpoints
from pipeline.training.checkpoint import Checkpointer, read_progress
from pipeline.training.engine import TorchEngine
from pipeline.training.loop import Learner, NoHooks
from pipeline.training.random_stream import RandomStream
from pipeline.training.stop_request import Stopped, listening

CPU, NUM_STEPS, NUM_STEPS_OF_EPOCH = torch.device("cpu"), 7, 3


@pytest.fixture(autouse=True)
def handler():
    """Whoever had the signal has it again."""
    earlier = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, earlier)


class Batches:
    """Three optimiser steps of one micro-batch in every epoch, each with a text of its own."""

    def num_steps(self, epoch):
        return NUM_STEPS_OF_EPOCH

    def steps(self, epoch, first=0):
        for step in range(first, NUM_STEPS_OF_EPOCH):
            yield [collate([[0, 4 + epoch, 2]], [[5 + step, 2]], pad_id=1, decoder_start_id=2)]


class Objective:
    """The square of what a small layer with dropout makes of a batch."""

    needs_teacher = False

    def __call__(self, engine, batch, signals, counts):
        tokens = torch.cat([batch.inputs["input_ids"], batch.labels], dim=1).float()
        return {"task_loss": torch.nn.functional.dropout(engine.forward(input=tokens)).square().sum()}

    def weight(self, term):
        return 1.0


class Asked(NoHooks):
    """Sends a signal at a place of the training; remembers the epochs that it saw to their ends."""

    def __init__(self, step=None, epoch=None):
        self.step, self.epoch, self.epochs = step, epoch, []

    def after_step(self, progress, losses):
        if progress.step == self.step:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)

    def after_epoch(self, progress):
        if progress.epoch == self.epoch and progress.step_in_epoch == 0:
            signal.raise_signal(signal.SIGTERM)
        self.epochs.append((progress.epoch, progress.step_in_epoch))


class Poisoned(Objective):
    """NaN from its n-th call on."""

    def __init__(self, call):
        self.left = call - 1

    def __call__(self, engine, batch, signals, counts):
        terms = super().__call__(engine, batch, signals, counts)
        self.left -= 1
        return terms if self.left >= 0 else {"task_loss": terms["task_loss"] * float("nan")}


def train(folder, hooks, every_steps=100, objective=None):
    """Train until the end or the request; the weights."""
    torch.manual_seed(0)
    module = torch.nn.Linear(5, 2)
    learner = Learner(
        name="a",
        engine=TorchEngine(module, torch.optim.AdamW(module.parameters()), precision="fp32", max_gradient_norm=1.0),
        objective=objective or Objective(),
        learning_rate=lambda step: 0.1 / (1 + step),
        listener=Listener(),
        random=RandomStream(3, CPU),
    )
    settings = TrainConfig(checkpoint_every_steps=every_steps)
    train_with_checkpoints([learner], Batches(), NUM_STEPS, settings, stage="a", folder=folder, device=CPU, hooks=hooks)
    return [tensor.tolist() for tensor in learner.engine.whole_state().values()]


class Listener:
    def metrics(self, values, step):
        """Nothing is kept."""

    def failed(self, reason):
        """Nothing is kept."""


@pytest.mark.parametrize("step", [1, 3, 5])
def test_the_step_that_was_done_is_saved(tmp_path, step, caplog):
    """Whatever the distance of checkpoints, at the end of an epoch, too; then every bit is as if nothing had been."""
    with caplog.at_level(logging.WARNING), pytest.raises(Stopped), listening():
        train(tmp_path / "stopped", Asked(step=step))
    assert read_progress(tmp_path / "stopped")["step"] == step
    assert f"asked to stop; step {step} is saved" in caplog.text
    assert train(tmp_path / "stopped", NoHooks()) == train(tmp_path / "straight", NoHooks())


@pytest.mark.parametrize(("epoch", "step"), [(1, 3), (2, 6)])
def test_what_follows_an_epoch_is_interrupted_and_done_again(tmp_path, epoch, step):
    """A validation takes longer than a scheduler waits; the epochs before are not told again."""
    first, second, straight = Asked(epoch=epoch), Asked(), Asked()
    with pytest.raises(Stopped), listening():
        train(tmp_path / "stopped", first)
    assert read_progress(tmp_path / "stopped")["step"] == step
    assert train(tmp_path / "stopped", second) == train(tmp_path / "straight", straight)
    assert first.epochs + second.epochs == straight.epochs == [(1, 0), (2, 0), (2, 1)]


def test_a_request_with_the_last_step_is_obeyed_when_that_is_saved(tmp_path):
    """Nothing that follows begins."""
    with pytest.raises(Stopped), listening():
        train(tmp_path, Asked(step=NUM_STEPS))
    assert read_progress(tmp_path)["step"] == NUM_STEPS


def test_a_request_while_a_checkpoint_is_written_leaves_a_whole_one(tmp_path, monkeypatch):
    """It waits for the end, of the one at the regular distance and of its own."""
    real = Checkpointer._publish

    def publish(self, target, digests):
        signal.raise_signal(signal.SIGTERM)
        real(self, target, digests)

    monkeypatch.setattr(Checkpointer, "_publish", publish)
    with pytest.raises(Stopped), listening():
        train(tmp_path, NoHooks(), every_steps=2)
    assert read_progress(tmp_path)["step"] == 2
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000002"]


@pytest.mark.parametrize("call", [4, 5, 6, 7])
def test_where_nobody_is_left_the_next_submission_tries_the_last_steps_again(tmp_path, call):
    """What broke a number once may be gone; a checkpoint that says that all have failed would keep it for ever."""
    train(tmp_path / "failed", NoHooks(), every_steps=2, objective=Poisoned(call))
    assert read_progress(tmp_path / "failed")["failures"] == [None]
    assert train(tmp_path / "failed", NoHooks()) == train(tmp_path / "straight", NoHooks())
