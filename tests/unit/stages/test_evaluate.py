"""What is kept and what is given up: by the score and, of equal scores, by the loss."""

import json
import math
from types import SimpleNamespace

import pytest

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.jobs.finetune_teacher import TeacherJob
from pipeline.config.load import load_config
from pipeline.stages.evaluate import standing
from pipeline.stages.sweep.train import early_stopping
from pipeline.stages.teacher import fine_tune
from pipeline.training.loop import Progress


class Replica(SimpleNamespace):
    def save_pretrained(self, folder):
        (folder / "weights").write_text(str(self.state))


@pytest.fixture
def keep(monkeypatch, tmp_path):
    """Validates epochs as a job does that was started anew before each: `keep(*(score, loss)) -> kept epoch`."""

    def call(*validated):
        for epoch, (score, loss) in enumerate(validated, 1):
            monkeypatch.setattr(fine_tune, "validate", lambda *_, s=score, x=loss: {"score": s, "loss": x})
            engine = SimpleNamespace(copy_to=lambda replica, now=epoch: setattr(replica, "state", now))
            learner = SimpleNamespace(active=True, engine=engine, listener=SimpleNamespace(metrics=lambda *_: None))
            config, tokenizer = load_config(TeacherJob, []), SimpleNamespace(save_pretrained=lambda _: None)
            work = fine_tune.TeacherWork(config=config, task=None, key="", folder=tmp_path)
            resumed = fine_tune._KeepBest(work, learner, Replica(), tokenizer)
            resumed.after_epoch(SimpleNamespace(step_in_epoch=0, epoch=epoch, step=10 * epoch))
        return int((tmp_path / "model" / "weights").read_text())

    return call


@pytest.mark.parametrize(
    ("epochs", "best"),
    [
        ([(0.0, 5.1), (0.0, 3.0), (0.0, 0.85), (0.0, 0.9)], 3),  # a metric that cannot measure does not decide
        ([(20.0, 1.0), (30.0, 2.0), (30.0, 1.5), (29.0, 0.1)], 3),
        ([(10.0, 1.0), (10.0, 1.0)], 1),
        ([(math.nan, math.nan), (0.0, 9.0)], 2),
        ([(-5.1, 5.1), (-0.8, 0.8), (-0.9, 0.9)], 2),  # denoising: the score is the loss
    ],
)
def test_the_best_epoch_has_the_best_score_and_of_equal_ones_the_lowest_loss(keep, epochs, best, tmp_path):
    """Also after every interruption: what is kept remembers both."""
    assert keep(*epochs) == best
    kept = json.loads((tmp_path / "best.json").read_text())
    assert (kept["score"], kept["loss"]) == epochs[best - 1]


def test_what_is_no_number_comes_last():
    """Whichever of the two it is."""
    ranked = [(1.0, 2.0), (1.0, 3.0), (1.0, math.nan), (0.0, 0.0), (math.nan, 0.0)]
    values = [standing({"score": score, "loss": loss}) for score, loss in ranked]
    assert sorted(values, reverse=True) == values


@pytest.mark.parametrize("rule", ["median", "halving"])
@pytest.mark.parametrize(
    ("scores", "losses", "stopped"),
    [
        ([0.0, 0.0, 0.0], [2.0, 0.9, 0.5], "a"),
        ([10.0, 30.0, 20.0], [0.1, 2.0, 1.0], "a"),
        ([5.0, 5.0, 5.0], [1.0] * 3, ""),
    ],
)
def test_students_with_equal_scores_are_given_up_by_their_loss(monkeypatch, rule, scores, losses, stopped):
    """Equal in both, nobody is."""
    config = load_config(SweepJob, [f"sweep.stopping={{rule: {rule}, measure: score, keep: 0.6, fractions: [0.5]}}"])
    student = SimpleNamespace(scheme="8-8-8", depth="1-1", heads=None)
    found = dict(zip("abc", zip(scores, losses, strict=True), strict=True))
    plans = [SimpleNamespace(key=key, name=key, config=student) for key in found]
    given_up = []
    learners = [
        SimpleNamespace(
            active=True, listener=SimpleNamespace(metrics=lambda *_: None), stop=lambda why, k=key: given_up.append(k)
        )
        for key in found
    ]
    monkeypatch.setattr(early_stopping, "_replica", lambda plan, *_: plan.key)
    monkeypatch.setattr(
        early_stopping, "validate", lambda key, *_, **__: dict(zip(("score", "loss"), found[key], strict=True))
    )
    stopping = early_stopping.EarlyStopping(
        config=config, task=None, plans=plans, learners=learners, teacher=None, num_steps=10
    )
    for step in range(1, 11):
        stopping.after_step(Progress(step=step), {})
    assert "".join(given_up) == stopped
