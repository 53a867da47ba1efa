"""A package answers exactly as it was evaluated, one thread after the other, and refuses what it cannot follow."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
from datasets import Dataset

from pipeline.config.errors import UserError
from pipeline.config.sections.task import TaskConfig
from pipeline.data.tokenise import tokenise
from pipeline.evaluation.generate import generate_split
from pipeline.export.answer import Answerer
from pipeline.export.package import load_package

TEXTS = ["return the number of tokens", "", "read a file", "scales are stored beside the codes, one for every row"]


@pytest.fixture
def folder(make_package):
    """A package of three beams, a prefix and at most twelve tokens an answer."""
    # The tokenizer's size, and weights so large that the answer depends on the text.
    return make_package("8-8-8", shape={"vocab_size": 320, "init_std": 0.5})[0]


def evaluated(folder, tokenizer, tmp_path, **changes):
    """What the evaluation of a package says."""
    model, info = load_package(folder)
    task = TaskConfig(source_prefix=info.source_prefix, max_source_tokens=info.max_source_tokens)
    corpus = SimpleNamespace(splits={"test": Dataset.from_dict({"source": TEXTS, "target": TEXTS})})
    examples = tokenise(corpus, task, tokenizer, tmp_path / "tokens")["test"].examples
    shares = {"batch_tokens": 512, "rank": 0, "num_ranks": 1, "gather": lambda part: [part]}
    return generate_split(model, tokenizer, examples, replace(info.decoding, **changes), **shares)


@pytest.mark.parametrize("changes", [{}, {"num_beams": 1}, {"min_length": 6, "length_penalty": -1.0, "max_length": 9}])
def test_answers_are_those_of_the_evaluation(folder, tiny_tokenizer, tmp_path, changes):
    """With the package's decoding and with another one, prefix and empty texts included, in the order of the texts."""
    answers = Answerer(folder).answers(TEXTS, **changes)
    assert answers == evaluated(folder, tiny_tokenizer, tmp_path, **changes)
    assert len(set(answers)) > 1


def test_an_answer_depends_on_its_text_alone(folder):
    """Not on the texts beside it, nor on the size of batches."""
    together = Answerer(folder).answers(TEXTS)
    assert together == Answerer(folder, batch_tokens=16).answers(TEXTS)
    assert together == [Answerer(folder).answers([text])[0] for text in TEXTS]


def test_threads_that_ask_differently_are_answered_as_if_alone(folder, monkeypatch):
    """One after the other: decoding settings lie in the model while it generates, and a server asks from threads."""
    answerer, settings = Answerer(folder), [{"num_beams": 1}, {"num_beams": 4}, {"max_length": 5}, {}] * 2
    alone = [answerer.answers(TEXTS, **setting) for setting in settings]
    generate, free = answerer.model.generate, threading.Lock()

    def watched(**inputs):
        assert free.acquire(blocking=False), "two threads generate at once"
        try:
            return generate(**inputs)
        finally:
            free.release()

    monkeypatch.setattr(answerer.model, "generate", watched)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda setting: answerer.answers(TEXTS, **setting), settings)) == alone


def test_a_text_that_is_too_long_is_cut_with_a_warning(folder, caplog):
    """The warning counts; what is behind the limit changes nothing."""
    answerer = Answerer(folder)
    with caplog.at_level(logging.WARNING):
        one, other, _ = answerer.answers(["word " * 200, "word " * 300, "short"])
    assert one == other
    assert [record.getMessage() for record in caplog.records] == ["2 of 3 texts are cut to 64 tokens"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"num_beam": 2}, "unknown key 'num_beam'.*did you mean 'num_beams'"),
        ({"num_beams": 0}, "num_beams=0. Allowed: at least 1 and at most 64"),
        ({"num_beams": 65}, "num_beams=65. Allowed: at least 1 and at most 64"),
        ({"num_beams": 2.5}, "num_beams=2.5"),
        ({"num_beams": None}, "num_beams=None"),
        ({"max_length": 65}, "max_length=65. Allowed: at most 64 for this model"),
        ({"max_length": 1}, "max_length=1. Allowed: at least 2"),
        ({"min_length": 13}, "min_length=13. Allowed: at most max_length=12"),
        ({"length_penalty": float("nan")}, "a finite number"),
        ({"length_penalty": 1e300}, "at least -10.0 and at most 10.0"),
        ({"early_stopping": 1}, "a value of type bool"),
        ({"no_repeat_ngram_size": -1}, "at least 0"),
    ],
)
def test_settings_that_cannot_be_followed_are_refused(folder, overrides, message):
    """By their name, with what is allowed."""
    with pytest.raises(UserError, match=message):
        Answerer(folder).answers(["a text"], **overrides)


@pytest.mark.parametrize("overrides", [{"num_beams": 64}, {"max_length": 64}, {"min_length": 12}, {"max_length": 2}])
def test_a_bound_is_allowed(folder, overrides):
    """It is answered."""
    assert len(Answerer(folder).answers(["a text"], **overrides)) == 1


@pytest.mark.parametrize(
    ("texts", "second", "message"),
    [
        ([], None, "no text. Allowed: at least one"),
        (["a", None], None, r"text 2 is 'None' \(NoneType\)"),
        ([["a"]], None, "text 1 is .* \\(list\\)"),
        (["a"], ["b"], "pairs of texts for a model that generates"),
    ],
)
def test_what_is_no_text_is_refused(folder, texts, second, message):
    """By its place."""
    with pytest.raises(UserError, match=message):
        Answerer(folder).answers(texts, second)
