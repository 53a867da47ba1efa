"""Closed forms of students."""

from dataclasses import replace

import pytest

from pipeline.config.errors import UserError
from pipeline.search.space import StudentArchitecture
from pipeline.search.student_sizes import TeacherShape, student_bytes, student_operations, student_parameters

BART_BASE = TeacherShape(
    encoder_layers=6,
    decoder_layers=6,
    heads=12,
    hidden=768,
    encoder_intermediate=3072,
    decoder_intermediate=3072,
    vocabulary=50265,
    position_rows=1026,
)
WHOLE = StudentArchitecture(encoder_layers=6, decoder_layers=6, heads=12, weight_bits=32, embedding_bits=32)


def test_the_whole_of_bart_base_has_its_published_size():
    """All layers, all heads, 32 bits: the checkpoint's parameters, four bytes each."""
    assert student_parameters(WHOLE, BART_BASE).total == 139_420_416
    assert student_bytes(WHOLE, BART_BASE) == 4 * 139_420_416


@pytest.mark.parametrize(
    ("bits", "depth", "ratio"), [(8, (6, 6), 3.86), (2, (6, 6), 13.62), (2, (6, 3), 16.50), (2, (1, 1), 27.70)]
)
def test_students_have_the_published_compression_ratios(bits, depth, ratio):
    """Those that the footprint of built models has, to the two decimals of the paper."""
    encoder, decoder = depth
    student = replace(WHOLE, encoder_layers=encoder, decoder_layers=decoder, weight_bits=bits, embedding_bits=bits)
    assert round(student_bytes(WHOLE, BART_BASE) / student_bytes(student, BART_BASE), 2) == ratio


def test_every_parameter_of_the_space_costs():
    """Less of any one is fewer bytes; bits change no operations, what is cut changes both."""
    for change in ({"encoder_layers": 3}, {"decoder_layers": 3}, {"heads": 6}):
        less = replace(WHOLE, **change)
        assert student_bytes(less, BART_BASE) < student_bytes(WHOLE, BART_BASE)
        less_operations = student_operations(less, BART_BASE, 64, 16).total
        assert less_operations.total < student_operations(WHOLE, BART_BASE, 64, 16).total.total
        assert less_operations.ends == student_operations(WHOLE, BART_BASE, 64, 16).total.ends
    for change in ({"weight_bits": 2}, {"embedding_bits": 2}):
        less = replace(WHOLE, **change)
        assert student_bytes(less, BART_BASE) < student_bytes(WHOLE, BART_BASE)
        assert student_operations(less, BART_BASE, 64, 16) == student_operations(WHOLE, BART_BASE, 64, 16)


@pytest.mark.parametrize("change", [{"encoder_layers": 7}, {"decoder_layers": 7}, {"heads": 13}])
def test_a_student_keeps_no_more_than_there_is(change):
    """The message names what the teacher has."""
    for of in (student_parameters, student_bytes, lambda one, teacher: student_operations(one, teacher, 4, 4)):
        with pytest.raises(UserError, match="its teacher has"):
            of(replace(WHOLE, **change), BART_BASE)


def test_a_teacher_without_whole_heads_is_refused():
    """Heads that do not divide hidden."""
    with pytest.raises(UserError, match="10 heads in a width of 768"):
        student_parameters(replace(WHOLE, heads=2), replace(BART_BASE, heads=10))
