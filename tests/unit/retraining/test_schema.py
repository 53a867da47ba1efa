"""What is no text is found, and ordinary text in any script is not."""

import pytest
from texts_of_the_world import SINGLE

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining import schema
from pipeline.retraining.pairs import Pairs

CONFIG = DataChecksConfig()
FINE = [text for text in SINGLE if "\0" not in text]


def failing(texts):
    return [
        result.name.removesuffix(" of sources")
        for result in schema.check_characters(texts, "sources", CONFIG)
        if not result.passed
    ]


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (FINE, []),
        ([], []),
        (["tabs\tand\r\nlines"], []),
        (["a\0b"] + ["fine"] * 5000, ["NUL bytes"]),
        (["\ud800"], ["NUL bytes"]),
        (["bell \x07"], ["control characters"]),
        (["bell \x07"] + ["fine"] * 99, []),
        (["what\ufffd"], ["encoding"]),
        (["what\ufffd"] + ["fine"] * 99, []),
        (["caf\u00e9 fine", "Bun\u0103", "\u00c3 propos"], []),
        (["Bună".encode().decode("latin-1"), "b", "c"], ["encoding"]),
        (["naïve".encode().decode("cp1252")], ["encoding"]),
    ],
)
def test_characters_that_no_text_has_are_found(texts, found):
    """Up to the bound they are let through; NUL bytes never are."""
    assert failing(texts) == found


def test_what_is_no_text_is_counted_and_left_out():
    """Numbers and nothing, on either side."""
    pairs = Pairs(["a", None, "c", "d"], ["x", "y", 3, "z"])
    result = schema.check_types(pairs)
    assert schema.textual(pairs) == [0, 3] and result.measured == 2 and not result.passed
    assert schema.check_types(pairs.at([0, 3])).passed


@pytest.mark.parametrize(("texts", "share"), [(["a", " \n", ""], 2 / 3), (["a"], 0.0), ([], 0.0)])
def test_empty_texts_are_counted(texts, share):
    """Blanks alone are empty."""
    result = schema.check_empty(texts, "sources", CONFIG)
    assert result.measured == pytest.approx(share) and result.passed == (share <= CONFIG.max_empty)


@pytest.mark.parametrize(
    ("texts", "are_labels", "passes"),
    [
        (["a", "b", "c", "d", "e"], False, True),
        (["error"] * 3 + list("abcdef"), False, False),
        (["yes"] * 99 + ["no"], True, True),
        (["yes"] * 100, True, False),
        ([], True, False),
    ],
)
def test_a_column_must_say_several_things(texts, are_labels, passes):
    """Texts differ; of labels two are enough, however rare one is."""
    assert schema.check_variety(texts, "targets", CONFIG, are_labels=are_labels).passed is passes


def test_too_few_examples_are_refused():
    """The bound itself is enough."""
    few, enough = (Pairs(["a"] * num, ["b"] * num) for num in (99, 100))
    assert not schema.check_number(few, CONFIG).passed and schema.check_number(enough, CONFIG).passed
