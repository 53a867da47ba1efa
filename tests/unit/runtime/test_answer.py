"""An exported model answers texts like a package: batches, pairs, limits, settings, threads, streams."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from handmade import EOS, INFO, Said, classified

from pipeline.config.errors import UserError
from pipeline.config.sections.task import DecodingConfig
from pipeline.runtime.manifest import TokenIds
from pipeline.runtime.processors import Rules
from pipeline.runtime.search import search

TEXTS = ["return the number of tokens", "", "read a file", "scales are stored beside the codes, one for every row"]
LABELS = ["no", "yes", "perhaps", "never", "always"]


def expected(answerer, tokenizer, texts, **decoding):
    """What the model says, by its arithmetic, one text alone."""
    model = Said(len(tokenizer))
    rules = Rules(decoding=DecodingConfig(**{"max_length": 12, **decoding}), tokens=INFO.tokens)
    answers = []
    for text in texts:
        ids = answerer.tokenizer.tokenise([text]).ids
        answers.append(tokenizer.decode(search(model, model.read(ids), 1, rules)[0], skip_special_tokens=True).strip())
    return answers


@pytest.mark.parametrize("changes", [{}, {"num_beams": 3}, {"min_length": 6, "length_penalty": -1.0, "max_length": 9}])
def test_answers_are_the_models_in_the_order_of_the_texts(make_answerer, tiny_tokenizer, changes):
    """With the manifest's decoding and with another one, an empty text among them; whatever the size of batches."""
    answerer = make_answerer()
    answers = answerer.answers(TEXTS, **changes)
    assert answers == expected(answerer, tiny_tokenizer, TEXTS, **changes)
    assert answers == make_answerer({"batch_tokens": 12}, name="small").answers(TEXTS, **changes)
    assert len(set(answers)) > 2


def test_special_tokens_of_the_manifest_are_followed(make_answerer):
    """A forced first token, suppressed ones, another start."""
    decoding = DecodingConfig(max_length=8)
    tokens = TokenIds(pad=1, eos=EOS, decoder_start=1, forced_first=77, suppressed=list(range(100, 300)))
    said = make_answerer({"check": False}, tokens=tokens).generate_ids([[0, 5, 2], [0, 9, 30, 2]], decoding)
    assert [row[:2] for row in said] == [[1, 77], [1, 77]]
    assert not any(100 <= token < 300 for row in said for token in row)


def test_a_classifier_answers_with_labels(make_answerer):
    """Of texts and of pairs, whose second text is told from the first."""
    answerer = make_answerer(labels=LABELS)
    second = ["a", "b c", "", "d e f"]
    tokens = answerer.tokenizer.tokenise(TEXTS, second)
    logits = [classified([ids], [kinds], 5)[0] for ids, kinds in zip(tokens.ids, tokens.types, strict=True)]
    assert answerer.answers(TEXTS, second) == [LABELS[np.argmax(row)] for row in logits]
    assert answerer.answers(TEXTS) == [
        LABELS[np.argmax(classified([ids], [[0] * len(ids)], 5)[0])] for ids in answerer.tokenizer.tokenise(TEXTS).ids
    ]
    with pytest.raises(UserError, match="num_beams for a classifier"):
        answerer.answers(TEXTS, num_beams=2)
    with pytest.raises(UserError, match="4 texts and 1 second texts"):
        answerer.answers(TEXTS, ["a"])
    with pytest.raises(UserError, match="a stream of a classifier's label"):
        answerer.stream("a")


def test_a_text_that_is_too_long_is_cut_with_a_warning(make_answerer, caplog):
    """The warning counts; what is behind the limit changes nothing."""
    answerer = make_answerer()
    with caplog.at_level(logging.WARNING):
        one, other, _ = answerer.answers(["word " * 200, "word " * 300, "short"])
    assert one == other
    assert [record.getMessage() for record in caplog.records] == ["2 of 3 texts are cut to 24 tokens"]


def test_texts_that_are_too_long_are_refused_by_their_numbers_where_that_is_asked_for(make_answerer):
    """Before anything is answered; texts that fit are answered."""
    answerer = make_answerer({"too_long": "refuse"})
    with pytest.raises(UserError, match="2 of 3 texts are longer than 24 tokens: 1, 3"):
        answerer.answers(["word " * 200, "short", "word " * 300])
    assert len(answerer.answers(["short"])) == 1
    with pytest.raises(UserError, match=r"too_long=shorten. Allowed: cut, refuse"):
        make_answerer({"too_long": "shorten"}, name="other")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"num_beam": 2}, "unknown key 'num_beam'.*did you mean 'num_beams'"),
        ({"num_beams": 0}, "num_beams=0. Allowed: at least 1 and at most 64"),
        ({"num_beams": 2.5}, "num_beams=2.5"),
        ({"max_length": 41}, "max_length=41. Allowed: at most 40 for this model"),
        ({"max_length": 1}, "max_length=1. Allowed: at least 2"),
        ({"min_length": 13}, "min_length=13. Allowed: at most max_length=12"),
        ({"length_penalty": float("nan")}, "a finite number"),
        ({"early_stopping": 1}, "a value of type bool"),
    ],
)
def test_settings_that_cannot_be_followed_are_refused(make_answerer, overrides, message):
    """By their name, with what is allowed; also of a stream, before it begins."""
    answerer = make_answerer()
    for ask in (lambda: answerer.answers(["a text"], **overrides), lambda: answerer.stream("a text", **overrides)):
        with pytest.raises(UserError, match=message):
            ask()


def test_what_choosing_among_beams_heeds_is_not_ignored_silently(make_answerer, caplog):
    """Where there is one beam a warning names it; where there are several, or nothing differs, there is none."""
    answerer = make_answerer()
    for overrides in (
        {"num_beams": 1},
        {"num_beams": 2, "length_penalty": 3.0},
        {"num_beams": 1, "length_penalty": 1.0},
    ):
        answerer.answers(["a"], **overrides)
    assert caplog.messages == []
    answerer.answers(["a"], num_beams=1, length_penalty=3.0)
    assert caplog.messages == ["length_penalty changes nothing: there is one beam"]


@pytest.mark.parametrize(
    ("texts", "second", "message"),
    [
        ([], None, "no text. Allowed: at least one"),
        ("a text", None, "text 'a text' alone. Allowed: a list of texts"),
        (["a", None], None, r"text 2 is 'None' \(NoneType\)"),
        (["a"], ["b"], "pairs of texts for a model that generates"),
        (["a", "\ud83d"], None, "text 2 holds half a surrogate pair"),
    ],
)
def test_what_is_no_text_is_refused(make_answerer, texts, second, message):
    """By its place."""
    with pytest.raises(UserError, match=message):
        make_answerer().answers(texts, second)


def test_a_stream_is_the_answer_piece_by_piece(make_answerer):
    """Pieces come before the answer is complete; joined they are the answer."""
    answerer = make_answerer()
    for text in TEXTS:
        pieces = list(answerer.stream(text))
        assert "".join(pieces) == answerer.answers([text])[0]
        assert len(pieces) > 1
    with pytest.raises(UserError, match=r"a stream with num_beams=2.*num_beams=1"):
        answerer.stream("a text", num_beams=2)


def test_streams_are_refused_before_the_first_one_begins(make_answerer):
    """By the numbers of the texts, as answers are."""
    answerer = make_answerer({"too_long": "refuse"})
    with pytest.raises(UserError, match="1 of 2 texts are longer than 24 tokens: 2"):
        answerer.streams(["short", "word " * 200])
    assert ["".join(pieces) for pieces in answerer.streams(["short", "read"])] == answerer.answers(["short", "read"])


def test_a_stream_that_nobody_reads_on_stops_nobody(make_answerer):
    """Whoever reads it may ask something else meanwhile, or go away."""
    answerer = make_answerer()
    stream = answerer.stream(TEXTS[0])
    first = next(stream)
    answer = answerer.answers([TEXTS[0]])[0]
    assert answer == first + "".join(stream)
    next(answerer.stream(TEXTS[2]))
    assert answerer.answers([TEXTS[0]]) == [answer]


def test_threads_are_answered_as_if_alone(make_answerer, monkeypatch):
    """One batch after the other, each with its own settings."""
    answerer, settings = make_answerer(), [{"num_beams": 1}, {"num_beams": 4}, {"max_length": 5}, {}] * 3
    alone = [answerer.answers(TEXTS, **setting) for setting in settings]
    step, free = answerer.model.step, threading.Lock()

    def watched(state, tokens):
        assert free.acquire(blocking=False), "two threads decode at once"
        try:
            return step(state, tokens)
        finally:
            free.release()

    monkeypatch.setattr(answerer.model, "step", watched)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda setting: answerer.answers(TEXTS, **setting), settings)) == alone


def test_progress_counts_every_text_once(make_answerer):
    """Batch by batch."""
    counts = []
    make_answerer({"batch_tokens": 24}).answers(TEXTS * 3, on_batch=counts.append)
    assert sum(counts) == 12
    assert len(counts) > 3
