"""What answers come to: slices that hold every example once for each way of parting, agreement of graphs."""

from pipeline.stages.retrain import evidence
from pipeline.stages.retrain.evidence import parity_of, slices_of
from pipeline.stages.retrain.judge import Answers

ROWS = [
    {"source": "word " * number, "target": label}
    for number, label in ((3, "a"), (1, "b"), (9, "a"), (5, "a"), (2, "b"))
]


def test_slices_part_the_set_by_length_label_and_column(monkeypatch):
    """Each way holds all examples; those of few examples are none."""
    assert slices_of(ROWS, None, has_labels=True) == {}
    monkeypatch.setattr(evidence, "LEAST_OF_A_SLICE", 1)
    found = slices_of(ROWS, ["x", "y", "x", "x", "x"], has_labels=True)
    assert found["short sources"] == (1,) and found["middle sources"] == (0, 4) and found["long sources"] == (2, 3)
    assert (found["label a"], found["label b"]) == ((0, 2, 3), (1, 4))
    assert (found["column x"], found["column y"]) == ((0, 2, 3, 4), (1,))
    assert set(slices_of(ROWS[:1], None, has_labels=False)) == {"long sources"}


def test_parity_is_that_of_the_answers_that_graphs_gave():
    """They are asked about the first examples; who was not asked has none."""
    said = ["a", "b", "c", "d"]
    for exported, parity in ((None, None), ([], None), (["a", "x"], 0.5), (said, 1.0)):
        assert parity_of(Answers(said=said, exported=exported, milliseconds=[])) == parity
