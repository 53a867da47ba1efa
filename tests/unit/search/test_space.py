"""A space holds what can be built, once."""

import itertools
from dataclasses import replace

import pytest

from pipeline.config.errors import UserError
from pipeline.search.space import BERT_SPACE, BORT, EncoderArchitecture, EncoderSpace, StudentArchitecture, StudentSpace

STUDENTS = StudentSpace(
    encoder_layers=(1, 3), decoder_layers=(1, 2), heads=(2, 4), weight_bits=(1, 1.58, 2), embedding_bits=(2, 8)
)


def test_the_published_space_has_300_points():
    """Of 360 combinations those remain whose heads divide the width; Bort is one, twelve heads have 768 alone."""
    points = BERT_SPACE.points()
    assert len(points) == len(set(points)) == 300
    assert BORT in points
    assert {point.hidden for point in points if point.heads == 12} == {768}


def test_a_space_of_students_is_every_combination():
    """No student is left out or comes twice."""
    found = {
        (one.encoder_layers, one.decoder_layers, one.heads, one.weight_bits, one.embedding_bits)
        for one in STUDENTS.points()
    }
    assert found == set(itertools.product((1, 3), (1, 2), (2, 4), (1, 1.58, 2), (2, 8)))
    assert len(STUDENTS.points()) == len(found)


def test_heads_that_do_not_divide_the_width_are_no_architecture():
    """The message names both, and what would divide."""
    with pytest.raises(UserError) as caught:
        EncoderArchitecture(layers=2, heads=12, hidden=512, intermediate=256)
    assert "12 heads" in caught.value.given and "512" in caught.value.allowed and caught.value.change


def test_heads_that_divide_no_width_are_an_error_of_the_space():
    """They would silently be left out; heads that divide one of the widths may stay."""
    with pytest.raises(UserError, match=r"5 heads, which divide none of the hidden widths \[512, 768, 1024\]"):
        replace(BERT_SPACE, heads=(4, 5)).points()


@pytest.mark.parametrize("space", [BERT_SPACE, STUDENTS], ids=["encoder", "student"])
@pytest.mark.parametrize(
    ("values", "message"), [((), "empty space: no value for heads"), ((4, 4), "twice"), ((0, 4), "positive")]
)
def test_lists_without_sense_are_errors(space, values, message):
    """None at all, one twice, one that is no count."""
    with pytest.raises(UserError, match=message):
        replace(space, heads=values).points()


@pytest.mark.parametrize(
    "make",
    [
        lambda: EncoderArchitecture(layers=0, heads=1, hidden=4, intermediate=4),
        lambda: StudentArchitecture(encoder_layers=0, decoder_layers=1, heads=1, weight_bits=2, embedding_bits=8),
        lambda: StudentArchitecture(encoder_layers=1, decoder_layers=-1, heads=1, weight_bits=2, embedding_bits=8),
        lambda: StudentArchitecture(encoder_layers=1, decoder_layers=1, heads=1, weight_bits=0, embedding_bits=8),
        lambda: StudentArchitecture(encoder_layers=1, decoder_layers=1, heads=1, weight_bits=33, embedding_bits=8),
        lambda: EncoderSpace(layers=(2,), heads=(2,), hidden=(), intermediate=(4,)).points(),
    ],
)
def test_what_cannot_be_built_is_refused(make):
    """No layers, no bits, more bits than there are, no width."""
    with pytest.raises(UserError):
        make()


def test_a_student_may_be_an_encoder_alone():
    """No decoder layers, in a space, too."""
    space = StudentSpace(encoder_layers=(1, 2), decoder_layers=(0,), heads=(2,), weight_bits=(2,), embedding_bits=(8,))
    assert [(one.encoder_layers, one.decoder_layers) for one in space.points()] == [(1, 0), (2, 0)]
