"""What is said of the data is true: counts, totals, shares, lengths before cuts, labels, the first rows."""

from dataclasses import replace

import pytest
from datasets import Dataset

from pipeline.config.sections.task import TaskConfig
from pipeline.data.corpora import Corpus
from pipeline.data.tokenise import tokenise, train_tokenizer
from pipeline.stages.data_summary import as_document, described
from pipeline.stages.prepare_data import PreparedTask

WORDS = ["a", "b", "c", "d"]


@pytest.fixture
def prepared(tmp_path):
    """`prepared(columns of every split, task settings) -> (PreparedTask, TaskConfig)`; a word is a token."""

    def make(splits, labels=(), **settings):
        task = TaskConfig(**settings)
        corpus = Corpus(splits={name: Dataset.from_dict(rows) for name, rows in splits.items()}, fingerprint="f1")
        tokenizer = train_tokenizer(WORDS * 2, 300)
        tokenizer.save_pretrained(tmp_path / "tokenizer")
        tokenise(corpus, task, tokenizer, tmp_path / "tokens", labels)
        folders = {"tokenizer_folder": str(tmp_path / "tokenizer"), "tokens_folder": str(tmp_path / "tokens")}
        origins = {"train": "mine.csv"}
        return PreparedTask(**folders, fingerprint="f1", start="scratch", origins=origins, labels=list(labels)), task

    return make


def texts(lengths):
    """Sources of so many tokens, the first and the last special."""
    return [" ".join("a" * (length - 2)) for length in lengths]


def test_lengths_and_cuts_are_those_of_what_was_given(prepared):
    """Means and largest before cuts; count, total and share; a warning above a tenth, and only there."""
    split = {"source": texts([3, 5, 6, 8, *[3] * 16]), "target": texts([3] * 19 + [7])}
    scored = {**split, "references": [[target, "b"] for target in split["target"]]}
    limits = {"max_source_tokens": 5, "max_target_tokens": 6}
    splits = {"train": split, "validation": {name: rows[:3] for name, rows in scored.items()}, "test": scored}
    task, settings = prepared(splits, **limits)
    sources = {"mean_tokens": 3.5, "longest_tokens": 8, "num_cut": 2}
    targets = {"mean_tokens": 3.2, "longest_tokens": 7, "num_cut": 1}
    known = {"num_examples": 20, "sources": sources, "targets": targets, "labels": {}}
    document = as_document(task)["splits"]
    assert document["train"] == {**known, "origin": "mine.csv", "references": None}
    assert document["test"] == {**known, "origin": "", "references": 2.0}
    said = " ".join(described(task, settings).split())
    assert "train 20 3.5 8 2 of 20 (10 %) 3.2 7 1 of 20 (5 %) - mine.csv" in said
    assert "warning: 1 of 3 sources (33 %) of split 'validation' lose their end: task.max_source_tokens=5" in said
    assert said.count("warning") == 1


def test_labels_have_counts_and_shares(prepared):
    """The most frequent first, of every split; targets are none."""
    split = {"source": texts([4] * 500), "second": ["c"] * 500, "target": ["yes"] * 497 + ["no"] * 3}
    settings = {"objective": "classification", "metric": "accuracy", "max_source_tokens": 9}
    task, config = prepared(dict.fromkeys(("train", "validation", "test"), split), ["no", "yes"], **settings)
    said = described(task, config)
    assert "labels of test: yes 99 % (497), no 0.6 % (3)" in said
    assert "example 2 of train\n  source: a a\n  second: c\n  target: yes" in said
    assert "target tokens" not in said
    assert as_document(task)["splits"]["train"]["labels"] == {"yes": 497, "no": 3}


def test_an_example_takes_one_line_whatever_is_in_it(prepared):
    """No line breaks, no escape sequences, no more than fits."""
    odd = "a\n\tb \x1b[31m\u202e " + "c" * 1000
    split = {"source": [odd, "a"], "target": ["b", "b"]}
    task, config = prepared(dict.fromkeys(("train", "validation", "test"), split), max_source_tokens=2000)
    line = next(line for line in described(task, config).splitlines() if "source: a" in line)
    assert line.startswith(r"  source: a b \x1b[31m\u202e ccc")
    assert line.endswith("ccc ... (1,012 characters)")
    assert len(line) < 300


def test_many_labels_are_not_all_shown(prepared):
    """A dozen, and how many more there are."""
    labels = [f"label {number}" for number in range(40)]
    split = {"source": ["a"] * 40, "target": labels}
    settings = {"objective": "classification", "metric": "accuracy"}
    task, config = prepared(dict.fromkeys(("train", "validation", "test"), split), labels, **settings)
    assert "label 11 2 % (1), and 28 more" in described(task, config)
    assert (as_document(task)["num_labels"], len(as_document(task)["splits"]["test"]["labels"])) == (40, 12)


def test_labels_that_look_alike_are_told_apart(prepared):
    """A blank that nobody sees makes a class of its own; labels that the task names are meant so."""
    labels = ["No", "no", "yes", "yes "]
    split = {"source": texts([4] * 4), "target": labels}
    settings = {"objective": "classification", "metric": "accuracy"}
    task, config = prepared(dict.fromkeys(("train", "validation", "test"), split), labels, **settings)
    said = [" ".join(described(task, one).split()) for one in (config, replace(config, labels=labels))]
    assert "'yes ' 25 % (1)" in said[0]
    assert "the labels 'No', 'no' look alike and are learned as 2 labels" in said[0]
    assert "the labels 'yes', 'yes ' look alike" in said[0]
    assert "alike" not in said[1]
