"""Columns of any data set become source, second, target and references."""

import itertools
import json

import pytest
from datasets import ClassLabel, Dataset, Features, Translation, Value

from pipeline.config.errors import UserError
from pipeline.config.sections.task import CorpusConfig, TaskConfig
from pipeline.data.arrow_records import dataset_records
from pipeline.data.column_names import check_columns
from pipeline.data.columns import _examples, examples_of, grouped
from pipeline.data.json_file import JsonFile
from pipeline.data.records import value_at


@pytest.fixture
def examples(tmp_path):
    """`examples(rows, ...)` of a data set with typed columns."""

    def make(rows, objective="supervised", features=None, **corpus):
        metric = "accuracy" if objective == "classification" else "rouge"
        task = TaskConfig(name="mine", objective=objective, metric=metric, corpus=CorpusConfig(**corpus))
        records = dataset_records(Dataset.from_list(rows, features=features), "the rows")
        check_columns({"test": records}, task.corpus)
        return examples_of(records, task, "test", tmp_path)

    return make


@pytest.mark.parametrize("features", [None, Features({"translation": Translation(languages=["en", "ro"])})])
def test_dots_reach_into_a_column(examples, features):
    """WMT's files hold both languages in one column, to which the hub gives a type of its own."""
    rows = [{"translation": {"en": "yes", "ro": "da"}}, {"translation": {"en": "no", "ro": "nu"}}]
    split = examples(rows, features=features, source_column="translation.en", target_column="translation.ro")
    assert split.to_dict() == {"source": ["yes", "no"], "target": ["da", "nu"], "references": [["da"], ["nu"]]}


@pytest.mark.parametrize("answers", [{"text": ["a", "b"], "score": [2, 1]}, [{"text": "a"}, {"text": "b"}]])
def test_of_several_targets_the_first_is_trained_on_and_all_are_references(answers, examples):
    """ELI5's answers, as a record of lists or a list of records; a question may have a second part."""
    rows = [{"q": "why?", "more": "really", "answers": answers}, {"q": "how?", "more": "", "answers": answers}]
    columns = {"source_column": "q", "second_column": "more", "target_column": "answers.text"}
    split = examples(rows, **columns)
    assert split["source"][:] == ["why?\nreally", "how?"]
    assert split["target"][:] == ["a", "a"]
    assert split["references"][:] == [["a", "b"]] * 2


def test_further_references_stand_beside_the_target_once(examples):
    """A row without any keeps its target."""
    rows = [{"source": "s", "target": "t", "refs": refs} for refs in (["u", "t"], None, [], ["v", " "])]
    assert examples(rows, references_column="refs")["references"][:] == [["t", "u"], ["t"], ["t"], ["t", "v"]]


@pytest.mark.parametrize("row", [{"a.b.c": "s"}, {"a.b": {"c": "s"}}, {"a": {"b.c": "s"}}, {"a": {"b": {"c": "s"}}}])
def test_a_dot_may_be_part_of_a_name(examples, row, tmp_path):
    """Of a column or of what it holds, in tables and in JSON."""
    assert examples([row | {"target": "t"}], source_column="a.b.c")["source"][:] == ["s"]
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    records = JsonFile(path=path, has_lines=True)
    assert (records.columns(), records.has("a.b.c"), records.has("a.b.d")) == (["a.b.c"], True, False)
    assert [value_at(value, "a.b.c") for _, value in records.rows(())] == ["s"]


def test_examples_of_one_source_can_become_one_with_several_references(examples):
    """At the place of the first, each reference once."""
    rows = [{"source": s, "target": t} for s, t in (("a", "1"), ("b", "2"), ("a", "3"), ("a", "1"))]
    assert grouped(examples(rows)).to_dict() == {
        "source": ["a", "b"],
        "target": ["1", "2"],
        "references": [["1", "3"], ["2"]],
    }


def test_labels_have_names(examples):
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


@pytest.mark.parametrize("label", [1, True, "yes"])
@pytest.mark.parametrize("name", ["label", "target", "references", "second", "input_ids", "source.x"])
def test_labels_do_not_depend_on_what_their_column_is_called(examples, name, label):
    """Also where it has a name of our own, and the other columns have, too."""
    columns = {"objective": "classification", "source_column": "target", "target_column": name}
    columns["source_column"] = "target" if name != "target" else "references"
    columns["second_column"] = "source" if name != "source" else "second"
    row = {name: label, columns["source_column"]: "x", columns["second_column"]: "y"}
    expected = {"source": ["x"], "second": ["y"], "target": [str(label)], "references": [[str(label)]]}
    assert examples([row], **columns).to_dict() == expected
    if label == 1:
        features = Features({key: Value("string") for key in row} | {name: ClassLabel(names=["no", "yes"])})
        assert examples([row], features=features, **columns)["target"][:] == ["yes"]


@pytest.mark.parametrize("label", [2, -2])
def test_a_label_number_without_a_name_is_refused(examples, label):
    """None is taken from the other end of the list."""
    storage = Dataset.from_list([{"source": "x", "target": label}])
    features = Features({"source": Value("string"), "target": ClassLabel(names=["no", "yes"])})
    odd = Dataset(storage.data, info=storage.info.__class__(features=features), fingerprint="x")
    task = TaskConfig(objective="classification", metric="accuracy")
    with pytest.raises(UserError, match=f"'target' holds '{label}' \\(int\\) in row 1 of split 'test' \\(odd\\)"):
        list(_examples(dataset_records(odd, "odd"), task, "test"))


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
def test_what_is_no_text_is_refused_with_its_row(row, columns, message, examples):
    """Before anything is trained."""
    with pytest.raises(UserError, match=message):
        examples([row], **columns)


@pytest.mark.parametrize("columns", list(itertools.permutations(["source", "second", "target", "references"])))
def test_no_column_is_offered_that_would_give_the_answer_away(examples, columns):
    """Not the target, not the references, nothing in use; whichever option's column is missing, whatever the names."""
    options = ("source_column", "second_column", "target_column", "references_column")
    used = dict(zip(options, columns, strict=True))
    for missing in options[:3]:
        row = {path: "text" for option, path in used.items() if option != missing}
        for spare in ({}, {"spare": "text"}):
            with pytest.raises(UserError) as refusal:
                examples([row | spare], **used)
            assert f"no column '{used[missing]}' in split 'test' (the rows)" in refusal.value.given
            offered = {word.partition("=")[2].strip(",") for word in refusal.value.change.split() if "=" in word}
            assert offered - {"null", ""} == set(spare)


def test_all_columns_that_are_missing_are_told_at_once(examples):
    """Each is offered another one, those that must be there first."""
    with pytest.raises(UserError) as refusal:
        examples([{"text": "a", "title": "b", "context of it": "c"}], second_column="context")
    changes = [error.change for error in refusal.value.errors]
    assert [change.partition(",")[0] for change in changes] == [
        "set task.corpus.source_column='context of it'",
        "set task.corpus.target_column=text",
        "set task.corpus.second_column=title",
    ]


def test_a_source_that_holds_the_target_is_refused(examples):
    """A record is no text; what is offered instead stands beside the target, not in it."""
    row = {"qa": {"question": "q", "answer": "a"}}
    with pytest.raises(UserError, match=r"'qa' holds .* \(dict\)"):
        examples([row], source_column="qa", target_column="qa.answer")
    with pytest.raises(UserError, match=r"source_column=qa\.question\."):
        examples([row], source_column="qa.text", target_column="qa.answer")
