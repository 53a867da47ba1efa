"""Law 11: student layer i is a copy of teacher layer map[i]; an impossible map is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.errors import UserError
from pipeline.distillation.layer_map import PUBLISHED, layer_map
from pipeline.models.student import build_student

WIDTH = {"d_model": 8, "encoder_ffn_dim": 12, "decoder_ffn_dim": 12, "encoder_attention_heads": 2}


@pytest.mark.parametrize("num_teacher", [6, 12, 24])
@pytest.mark.parametrize("depth", [(6, 6), (6, 3), (3, 1), (1, 6), (5, 2)])
def test_a_student_layer_is_its_teacher_layer_and_the_rest_is_copied_whole(make_bart, num_teacher, depth):
    """Bit for bit, with independent depths of encoder and decoder."""
    teacher = make_bart(num_teacher, num_teacher, decoder_attention_heads=2, **WIDTH)
    maps = [layer_map(num_teacher, layers) for layers in depth]
    student = build_student(teacher, *maps, 0.25)
    theirs, mine = teacher.state_dict(), student.state_dict()
    for part, layers in zip(("encoder", "decoder"), maps, strict=True):
        stack = student.get_submodule(f"model.{part}.layers")
        assert len(stack) == len(layers)
        for layer, source in zip(stack, layers, strict=True):
            for name, tensor in layer.state_dict().items():
                assert torch.equal(tensor, theirs[f"model.{part}.layers.{source}.{name}"])
    assert all(torch.equal(mine[name], theirs[name]) for name in mine if ".layers." not in name)
    assert (student.config.encoder_layers, student.config.decoder_layers) == depth
    assert student.config.dropout == 0.25
    assert len({id(user.weight) for user in (student.model.shared, student.lm_head)}) == 1


def test_a_student_is_a_copy_that_leaves_the_teacher_alone(make_bart):
    """Its parameters are its own, and the teacher's configuration keeps its depth."""
    teacher = make_bart(3, 3)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    student = build_student(teacher, [0, 2], [1], 0.0)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
    assert (teacher.config.encoder_layers, teacher.config.decoder_layers) == (3, 3)


def test_a_six_layer_teacher_has_the_published_table():
    """DQ-BART's released code, which no rounding rule reproduces."""
    table = {1: [5], 2: [0, 5], 3: [0, 2, 5], 4: [0, 2, 3, 5], 5: [0, 1, 3, 4, 5], 6: [0, 1, 2, 3, 4, 5]}
    assert {num_student: layer_map(6, num_student) for num_student in table} == table == PUBLISHED[6]


@pytest.mark.parametrize(
    ("num_teacher", "num_student", "expected"),
    [(12, 1, [11]), (12, 2, [0, 11]), (12, 3, [0, 6, 11]), (24, 2, [0, 23]), (24, 24, list(range(24))), (1, 1, [0])],
)
def test_other_teachers_are_spaced_as_widely_as_possible(num_teacher, num_student, expected):
    """First and last layer included; a single layer is the last one."""
    assert layer_map(num_teacher, num_student) == expected


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(1, 48), st.data())
def test_a_default_map_rises_and_ends_in_the_last_layer(num_teacher, data):
    """And is accepted as an explicit map."""
    num_student = data.draw(st.integers(1, num_teacher))
    layers = layer_map(num_teacher, num_student)
    assert layers == sorted(set(layers))
    assert len(layers) == num_student
    assert layers[-1] == num_teacher - 1
    assert num_student == 1 or layers[0] == 0
    assert layer_map(num_teacher, num_student, layers) == layers


@pytest.mark.parametrize(
    ("num_student", "explicit", "message"),
    [
        (7, None, "7 student layers for a teacher of 6"),
        (0, None, "1 to 6 layers"),
        (2, [0, 6], "between 0 and 5"),
        (2, [-1, 5], "between 0 and 5"),
        (3, [0, 5], "3 student layers"),
        (2, [5, 0], "rising"),
        (2, [3, 3], "without repetition"),
    ],
)
def test_an_impossible_map_is_refused(num_student, explicit, message):
    """Too deep, out of range, of the wrong length, falling, repeated."""
    with pytest.raises(UserError, match=message):
        layer_map(6, num_student, explicit)
