"""The training loop: what its hooks are told, and that their time is nobody's."""

import time

import pytest
import torch

from pipeline.config.errors import NonFiniteError
from pipeline.data.batch import collate
from pipeline.training.loop import Learner, LoopSettings, NoHooks, Progress, train_cohort
from pipeline.training.random_stream import RandomStream
from pipeline.training.stop_request import Stopped

CPU, NUM_STEPS_OF_EPOCH = torch.device("cpu"), 3


class Batches:
    """Three optimiser steps of one micro-batch in every epoch."""

    def steps(self, epoch, first=0):
        batch = collate([[0, 4, 2]], [[5, 2]], pad_id=1, decoder_start_id=2)
        yield from [[batch]] * (NUM_STEPS_OF_EPOCH - first)


class Engine:
    """Trains nothing; its step `fails_at` is not finite."""

    def __init__(self, fails_at=None):
        self.fails_at, self.num_steps = fails_at, 0

    def start_micro_batch(self, last):
        pass

    def backward(self, loss):
        pass

    def discard(self):
        pass

    def step(self, learning_rate):
        self.num_steps += 1
        if self.num_steps == self.fails_at:
            raise NonFiniteError("gradient norm is nan")
        return 1.0


class Objective:
    needs_teacher = False

    def __call__(self, engine, batch, signals, counts):
        return {"task_loss": torch.tensor(2.0)}

    def weight(self, term):
        return 1.0


class Listener:
    def __init__(self):
        self.seen, self.reason = [], None

    def metrics(self, values, step):
        self.seen.append((step, values))

    def failed(self, reason):
        self.reason = reason

    stopped = failed


class Recorder(NoHooks):
    """Remembers what it is told; may stop a learner, and takes its time."""

    def __init__(self, learners=(), stops_at=None, seconds=0.0):
        self.told, self.learners, self.stops_at, self.seconds = [], learners, stops_at, seconds

    def after_step(self, progress, losses):
        self.told.append((progress.step, sorted(losses)))
        time.sleep(self.seconds)
        if progress.step == self.stops_at:
            self.learners[0].stop("enough")

    def after_epoch(self, progress):
        self.told.append((progress.epoch, progress.step_in_epoch))


@pytest.fixture
def train():
    """Train learners: `train(learners, hooks, num_steps)`."""

    def call(learners, hooks, num_steps=5, progress=None):
        settings = LoopSettings(num_steps=num_steps, log_every_steps=1)
        train_cohort(learners, Batches(), settings, device=CPU, progress=progress or Progress(), hooks=hooks)

    return call


def learner(name, fails_at=None):
    return Learner(
        name=name,
        engine=Engine(fails_at),
        objective=Objective(),
        learning_rate=lambda step: 0.1,
        listener=Listener(),
        random=RandomStream(0, CPU),
    )


def test_hooks_are_told_of_every_step_and_every_epoch(train):
    """In their order, with the losses of those that are left; the last step ends an epoch that is not whole."""
    hooks, both = Recorder(), [learner("a"), learner("b", fails_at=2)]
    train(both, hooks)
    steps = [(1, ["a", "b"]), (2, ["a"]), (3, ["a"]), (1, 0), (4, ["a"]), (5, ["a"]), (1, 2)]
    assert hooks.told == steps
    assert both[1].failure == "gradient norm is nan at optimiser step 2"


def test_a_resumed_training_tells_of_what_is_left(train):
    """Steps that a checkpoint holds are not told again."""
    hooks = Recorder()
    train([learner("a")], hooks, progress=Progress(step=4, epoch=1, step_in_epoch=1))
    assert hooks.told == [(5, ["a"]), (1, 2)]


def test_hooks_may_take_learners_out(train):
    """One that was stopped trains no further; without any, the training is over."""
    pair = [learner("a"), learner("b")]
    hooks = Recorder(pair, stops_at=2)
    train(pair, hooks)
    assert [one.engine.num_steps for one in pair] == [2, 5]
    assert (pair[0].stopped, pair[0].listener.reason) == ("enough", "enough")
    alone = [learner("a")]
    hooks = Recorder(alone, stops_at=2)
    train(alone, hooks)
    assert hooks.told == [(1, ["a"]), (2, ["a"]), (0, 2)]


def test_what_hooks_do_is_no_training_time(train):
    """However long they take, the throughput is that of the steps; a step is logged before they are told of it."""
    patient, hooks = learner("a"), Recorder(seconds=0.2)
    train([patient], hooks, num_steps=3)
    assert [step for step, _ in patient.listener.seen] == [1, 2, 3]
    num_tokens = 5.0  # three of the source, two of the target
    seconds = [num_tokens / values["cohort_tokens_per_second"] for _, values in patient.listener.seen]
    assert max(seconds) < hooks.seconds


def test_a_request_to_stop_ends_training_between_two_steps():
    """Before a step is begun: what is there can be saved, and goes on with the next step."""
    one, progress, answers = learner("a"), Progress(), iter([False, False, True])
    settings = LoopSettings(num_steps=5, log_every_steps=1)
    with pytest.raises(Stopped):
        train_cohort([one], Batches(), settings, device=CPU, progress=progress, is_asked=lambda: next(answers))
    assert (one.engine.num_steps, progress) == (2, Progress(step=2, step_in_epoch=2))
    train_cohort([one], Batches(), settings, device=CPU, progress=progress)
    assert (one.engine.num_steps, progress.step) == (5, 5)
