"""What a pre-training says in the end: when models were equally good, what they cost, as a document and as tables."""

import json
import math
from dataclasses import asdict

import pytest

from pipeline.stages.pretrain.curve import Point
from pipeline.stages.pretrain.results import EqualLoss, HeldOut, Pretrained, SmallResult, curve_table, result_table


def points(*losses):
    return [
        Point(step=10 * number, seconds=2.0 * number, loss=loss, masked_accuracy=50 - loss)
        for number, loss in enumerate(losses, 1)
    ]


def small(name, loss):
    return SmallResult(
        name=name,
        folder=f"/there/{name}/model",
        size_bytes=2**20,
        num_parameters=1000,
        num_steps=30,
        held_out=HeldOut(loss=loss, masked_accuracy=20.0),
        seconds=6.0,
        tokens_per_second=500.0,
        run_id=None,
    )


DONE = Pretrained(
    teacher=HeldOut(loss=math.log(20), masked_accuracy=40.0),
    teacher_parameters=5000,
    teacher_bytes=4 * 2**20,
    models={"distilled": small("distilled", math.log(30)), "alone": small("alone", math.log(40))},
    curves={"distilled": points(5.0, 4.2, 4.0), "alone": points(5.5, 5.0, 4.5)},
)


def test_equal_loss_is_that_of_the_weaker_model_at_its_end():
    """The better one had it sooner, at the first step that was looked at."""
    assert DONE.equal.loss == 4.5
    assert {name: point.step for name, point in DONE.equal.points.items()} == {"distilled": 20, "alone": 30}
    other = EqualLoss.of({"distilled": points(5.0, 4.8), "alone": points(4.8, 4.7)})
    assert (other.loss, other.points["distilled"].step, other.points["alone"].step) == (4.8, 20, 10)


def test_a_model_without_another_is_equal_to_itself_at_its_end():
    """Where nothing is compared."""
    assert EqualLoss.of({"distilled": points(5.0, 4.0)}).points["distilled"].step == 20


def test_the_document_holds_numbers_of_all():
    """As JSON, perplexities beside accuracies."""
    document = json.loads(json.dumps(DONE.document()))
    assert document["perplexity"] == pytest.approx({"teacher": 20.0, "distilled": 30.0, "alone": 40.0})
    assert document["masked_accuracy"] == {"teacher": 40.0, "distilled": 20.0, "alone": 20.0}
    assert document["steps_to_equal_loss"] == {"distilled": 20, "alone": 30}
    assert document["seconds_to_equal_loss"] == {"distilled": 4.0, "alone": 6.0}


def test_tables_have_a_line_for_everybody_and_for_every_look():
    """The teacher first; it has no steps."""
    lines = result_table(DONE)
    assert [line[0] for line in lines] == ["model", "teacher", "distilled", "alone"]
    assert lines[1][5:] == ["-"] * 5 and lines[2][5:] == ["30", "6.0", "500", "20", "4.0"]
    assert all(len(line) == len(lines[0]) for line in lines)
    curves = curve_table(DONE)
    assert [line[0] for line in curves] == ["step", "10", "20", "30"] and curves[1][1:4] == ["5.0000", "45.00", "2.0"]


def test_a_loss_beyond_numbers_has_an_infinite_perplexity():
    """Instead of an error at the end of a training."""
    assert HeldOut(loss=1e4, masked_accuracy=0.0).perplexity == math.inf


def test_results_are_read_as_they_were_written(tmp_path):
    """By the process that started the workers."""
    (tmp_path / "result.json").write_text(json.dumps(asdict(small("alone", 3.0))))
    assert SmallResult.read(tmp_path / "result.json") == small("alone", 3.0)
