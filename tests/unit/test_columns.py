"""Columns of any data set become source, second, target and references."""

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from pipeline.config.errors import UserError
from pipeline.config.task import CorpusConfig, TaskConfig
from pipeline.data.columns import examples_of


def examples(rows, split="test", objective="supervised", features=None, **corpus):
    metric = "accuracy" if objective == "classification" else "rouge"
    task = TaskConfig(name="mine", objective=objective, metric=metric, corpus=CorpusConfig(**corpus))
    return examples_of(Dataset.from_list(rows, features=features), task, split)


def test_dots_reach_into_a_column():
    """WMT's files hold both languages in one column."""
    rows = [{"translation": {"en": "yes", "ro": "da"}}, {"translation": {"en": "no", "ro": "nu"}}]
    split = examples(rows, source_column="translation.en", target_column="translation.ro")
    assert split.to_dict() == {"source": ["yes", "no"], "target": ["da", "nu"], "references": [["da"], ["nu"]]}


@pytest.mark.parametrize("answers", [{"text": ["a", "b"], "score": [2, 1]}, [{"text": "a"}, {"text": "b"}]])
def test_of_several_targets_the_first_is_trained_on_and_all_are_references(answers):
    """ELI5's answers, as a record of lists or a list of records; a question may have a second part."""
    rows = [{"q": "why?", "more": "really", "answers": answers}, {"q": "how?", "more": "", "answers": answers}]
    columns = {"source_column": "q", "second_column": "more", "target_column": "answers.text"}
    split = examples(rows, **columns)
    assert split["source"][:] == ["why?\nreally", "how?"]
    assert split["target"][:] == ["a", "a"]
    assert split["references"][:] == [["a", "b"]] * 2
    assert "references" not in examples(rows, split="train", **columns).column_names


def test_further_references_stand_beside_the_target_once():
    """A row without any keeps its target."""
    rows = [{"source": "s", "target": "t", "refs": refs} for refs in (["u", "t"], None, [], ["v", " "])]
    assert examples(rows, references_column="refs")["references"][:] == [["t", "u"], ["t"], ["t"], ["t", "v"]]


def test_a_dot_may_be_part_of_a_name():
    """Where a column is called so."""
    assert examples([{"a.b": "s", "target": "t"}], source_column="a.b")["source"][:] == ["s"]


def test_examples_of_one_source_can_become_one_with_several_references():
    """In validation and test; training keeps every pair."""
    rows = [{"source": s, "target": t} for s, t in (("a", "1"), ("b", "2"), ("a", "3"), ("a", "1"))]
    assert examples(rows, group_references=True).to_dict() == {
        "source": ["a", "b"],
        "target": ["1", "2"],
        "references": [["1", "3"], ["2"]],
    }
    assert len(examples(rows, split="train", group_references=True)) == 4


def test_labels_have_names():
    """Numbers with names in the data set, numbers without, truth values, text."""
    columns = {"objective": "classification", "source_column": "a", "second_column": "b", "target_column": "label"}
    named = Features({"a": Value("string"), "b": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    rows = [{"a": "x", "b": "y", "label": 1}, {"a": "x", "b": None, "label": 0}]
    split = examples(rows, features=named, **columns)
    assert split["target"][:] == ["yes", "no"]
    assert split["second"][:] == ["y", ""]
    assert examples(rows, **columns)["target"][:] == ["1", "0"]
    assert examples([{**row, "label": bool(row["label"])} for row in rows], **columns)["target"][:] == ["True", "False"]
    with pytest.raises(UserError, match="no label in row 2 of split 'test'"):
        examples([rows[0], {**rows[1], "label": -1}], features=named, **columns)


@pytest.mark.parametrize(
    ("row", "columns", "message"),
    [
        ({"x": {"en": "a"}, "target": "t"}, {"source_column": "x.ro"}, "no column 'x.ro'.*source_column=x.en"),
        ({"source": "s", "target": "t"}, {"second_column": "context"}, "no column 'context'.*second_column=null"),
        ({"source": "s", "target": []}, {}, "'target' holds '\\[\\]' \\(list\\) in row 1"),
        ({"source": "s", "target": " "}, {}, "'target' holds ' ' \\(str\\) in row 1"),
        ({"source": "s", "target": [{"x": "a"}, None]}, {"target_column": "target.x"}, "'target.x' holds"),
        ({"source": "s", "target": None}, {}, "'target' holds nothing in row 1"),
        ({"source": 3, "target": "t"}, {}, "'source' holds '3' \\(int\\)"),
        ({"source": "s", "target": "t", "refs": [None]}, {"references_column": "refs"}, "'refs' holds"),
        ({"source": "s", "target": 1.5}, {"objective": "classification"}, "'target' holds '1.5' \\(float\\)"),
    ],
)
def test_what_is_no_text_is_refused_with_its_row(row, columns, message):
    """Before anything is trained."""
    with pytest.raises(UserError, match=message):
        examples([row], **columns)


def test_no_progress_bar_is_shown():
    """Job logs are read by people."""
    examples([{"source": "s", "target": "t"}])
    assert datasets.are_progress_bars_disabled()
