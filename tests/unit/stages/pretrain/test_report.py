"""What a pre-training's page says first: how good everybody is, and what the teacher was worth."""

import pytest

from pipeline.stages.pretrain.curve import Point
from pipeline.stages.pretrain.report import summary
from pipeline.stages.pretrain.results import HeldOut, Pretrained, SmallResult


def done_of(**losses):
    """A pre-training of which these were the validation losses after 10 and 20 steps."""
    curves, models = {}, {}
    for name, values in losses.items():
        curves[name] = [Point(step=10 * n, seconds=5.0 * n, loss=loss) for n, loss in enumerate(values, 1)]
        held_out = HeldOut(loss=values[-1], masked_accuracy=20.0)
        numbers = {"size_bytes": 4, "num_parameters": 1, "num_steps": 20, "seconds": 10.0, "tokens_per_second": 1.0}
        models[name] = SmallResult(name=name, folder="", held_out=held_out, run_id=None, **numbers)
    teacher = HeldOut(loss=0.0, masked_accuracy=50.0)
    return Pretrained(teacher=teacher, teacher_parameters=2, teacher_bytes=8, models=models, curves=curves)


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        (
            {"distilled": (2.0, 1.0), "alone": (3.0, 2.5)},
            "With the teacher the model has a validation loss of at most 2.5000 after 10 of 20 steps and 5.0 s; "
            "alone after 20 and 10.0 s.",
        ),
        (
            {"distilled": (3.0, 2.5), "alone": (2.0, 1.0)},
            "Alone the model has a validation loss of at most 2.5000 after 10 of 20 steps and 5.0 s; with "
            "the teacher after 20 and 10.0 s.",
        ),
        (
            {"distilled": (3.0, 2.5), "alone": (3.0, 2.0)},
            "Both have a validation loss of at most 2.5000 after 20 of 20 steps.",
        ),
        ({"distilled": (3.0, 2.5)}, None),
    ],
)
def test_the_teacher_s_worth_is_said_where_somebody_learned_without_it(losses, told):
    """Whoever was sooner stands first; without a comparison only scores are told."""
    scores, *worth = summary(done_of(**losses), "test", 20)
    assert "Masked accuracy on the test split: the teacher 50.00 % (perplexity 1.00); " in scores
    assert all(f"{name} 20.00 %" in scores for name in losses)
    assert worth == ([] if told is None else [told])
