"""A space holds what can be built, once."""

from dataclasses import replace

import pytest

from pipeline.config.errors import UserError
from pipeline.search.space import BERT_SPACE, BORT, EncoderArchitecture, EncoderSpace, StudentArchitecture


def test_the_published_space_has_300_points():
    """Of 360 combinations those remain whose heads divide the width; Bort is one, twelve heads have 768 alone."""
    points = BERT_SPACE.points()
    assert len(points) == len(set(points)) == 300
    assert BORT in points
    assert {point.hidden for point in points if point.heads == 12} == {768}


def test_heads_that_do_not_divide_the_width_are_no_architecture():
    """The message names both, and what would divide."""
    with pytest.raises(UserError) as caught:
        EncoderArchitecture(layers=2, heads=12, hidden=512, intermediate=256)
    assert "12 heads" in caught.value.given and "512" in caught.value.allowed and caught.value.change


def test_heads_that_divide_no_width_are_an_error_of_the_space():
    """They would silently be left out; heads that divide one of the widths may stay."""
    with pytest.raises(UserError, match=r"5 heads, which divide none of the hidden widths \[512, 768, 1024\]"):
        replace(BERT_SPACE, heads=(4, 5)).points()


@pytest.mark.parametrize(
    ("values", "message"), [((), "empty space: no value for heads"), ((4, 4), "twice"), ((0, 4), "positive")]
)
def test_lists_without_sense_are_errors(values, message):
    """None at all, one twice, one that is no count."""
    with pytest.raises(UserError, match=message):
        replace(BERT_SPACE, heads=values).points()


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
    """No decoder layers."""
    one = StudentArchitecture(encoder_layers=1, decoder_layers=0, heads=2, weight_bits=2, embedding_bits=8)
    assert one.decoder_layers == 0
