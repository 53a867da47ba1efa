"""One split is taken apart: by content alone, equal sources together, nothing lost."""

import json
import random

import pytest
from datasets import Dataset

from pipeline.config.errors import UserError
from pipeline.config.sections.data import DataConfig
from pipeline.config.sections.task import CorpusConfig, TaskConfig
from pipeline.data.corpora import load_corpus
from pipeline.data.splits import num_in_training, num_shared, split_of

SOURCES = [f"text {number}" for number in range(2000)]


@pytest.fixture
def load(tmp_path):
    """The splits that are taken from one file, as sets of sources: `load(sources, shares)`."""

    def make(sources, shares, **corpus):
        lines = [json.dumps({"source": source, "target": f"{i}"}) for i, source in enumerate(sources)]
        (tmp_path / "all.jsonl").write_text("\n".join(lines))
        settings = CorpusConfig(kind="files", files={"train": "all.jsonl", "test": "nothing.jsonl"}, **corpus)
        return load_corpus(TaskConfig(name="mine", corpus=settings), str(tmp_path), tmp_path / "cache", shares)

    return make


def test_every_example_is_in_one_split_and_equal_sources_are_together(load):
    """In about the asked shares, whatever the order and whatever else is there; the rest of the row stays beside it."""
    drawn = random.Random(0).sample(SOURCES, 1500) * 2
    corpus, shares = (
        load(SOURCES + drawn, {"validation": 0.1, "test": 0.2}),
        {"train": 0.7, "validation": 0.1, "test": 0.2},
    )
    kept = {name: set(split["source"]) for name, split in corpus.splits.items()}
    assert sum(len(split) for split in corpus.splits.values()) == len(SOURCES) + len(drawn)
    assert sum(map(len, kept.values())) == len(SOURCES)
    assert {name: len(split) / len(SOURCES) for name, split in kept.items()} == pytest.approx(shares, abs=0.02)
    other = load(drawn, {"validation": 0.1, "test": 0.2}).splits
    assert {name: set(split["source"]) for name, split in other.items()} == {n: s & set(drawn) for n, s in kept.items()}
    given = SOURCES + drawn
    assert all(given[int(row["target"])] == row["source"] for split in corpus.splits.values() for row in split)


def test_the_test_split_does_not_depend_on_the_size_of_the_others():
    """And a larger one holds a smaller one."""
    for source in SOURCES:
        alone = split_of(source, {"test": 0.1})
        assert (alone == "test") == (split_of(source, {"test": 0.1, "validation": 0.5}) == "test")
        assert alone != "test" or split_of(source, {"test": 0.3}) == "test"


def test_limits_and_groups_hold_for_what_was_taken(load):
    """They are of the splits, not of the file."""
    limits = {f"max_{name}_examples": 7 for name in ("train", "validation", "test")}
    corpus = load(SOURCES * 2, {"validation": 0.1, "test": 0.1}, group_references=True, **limits)
    assert [len(split) for split in corpus.splits.values()] == [7, 7, 7]
    assert all(len(row["references"]) == 2 for name in ("validation", "test") for row in corpus.splits[name])


def test_a_split_that_is_there_and_not_read_is_named(load, tmp_path):
    """A file that is not there is none of it."""
    shares = {"validation": 0.1, "test": 0.1}
    assert load(SOURCES, shares).unread == ()
    (tmp_path / "nothing.jsonl").write_text("not JSON")
    corpus = load(SOURCES, shares)
    assert corpus.unread == ("test",)
    assert corpus.origins["test"] == f"0.1 of {tmp_path / 'all.jsonl'}"


@pytest.mark.parametrize("split", ["train", "validation"])
def test_too_few_examples_to_take_apart_are_refused(load, split):
    """Whichever split would be empty."""
    shares = {"validation": 0.9 if split == "train" else 0.0001, "test": 0.0001}
    with pytest.raises(UserError, match=f"data.split_validation=.* leaves no example for {split}: there are 1\\."):
        load(["a text"], shares)


def test_something_must_be_left_to_train_on():
    """Shares of 1 together are refused."""
    with pytest.raises(UserError, match=r"split_validation \+ data.split_test = 1\."):
        DataConfig(split_validation=0.5, split_test=0.5)


def test_sources_that_are_in_the_training_split_are_counted():
    """Of pairs, both texts count; a file that was named twice shows at once."""
    train = Dataset.from_dict({"source": ["a", "b", "b"], "second": ["x", "y", "z"]})
    other = Dataset.from_dict({"source": ["a", "b", "b", "c"], "second": ["x", "x", "z", "x"]})
    assert num_in_training({"train": train, "validation": other, "test": train}) == {"validation": 2, "test": 3}
    alone = {name: split.select_columns(["source"]) for name, split in (("train", train), ("test", other))}
    assert num_in_training(alone) == {"test": 3}


def test_what_two_splits_share_is_counted_by_source_and_second_text():
    """Every example of the first that the other has, too, as often as it occurs; of pairs both texts count."""
    first = Dataset.from_dict({"source": ["a", "a", "b", "c"], "second": ["x", "x", "x", "y"]})
    other = Dataset.from_dict({"source": ["a", "b", "c"], "second": ["x", "z", "y"]})
    assert num_shared(first, other) == 3
    assert num_shared(first.remove_columns(["second"]), other.remove_columns(["second"])) == 4
