"""Whose weights a student has that is quantized without training."""

import pytest

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import RecipeConfig
from pipeline.config.sections.sweep import StudentConfig
from pipeline.distillation.layer_map import student_maps
from pipeline.stages.sweep.plan.origins import origin_of

LAYERS = (6, 0)
BITS = {"quantization": {"bits": ["*=8"]}}


def origin(points, **settings):
    student = StudentConfig(training="ptq", **{"scheme": "2-2-8", **settings})
    return origin_of(student, student_maps(student, LAYERS), points, LAYERS, RecipeConfig())


def test_a_student_that_keeps_the_whole_teacher_is_the_teacher():
    """Whatever else the sweep has."""
    assert origin([], depth="6") is None
    assert origin([StudentConfig(scheme="32-32-32", depth="6")], depth="6") is None
    assert origin([], depth="6", label="a", recipe={"quantization": {"lm_head": False}}) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": "3"},
        {"depth": "3", "encoder_map": [0, 1, 2]},
        {"depth": "6", "heads": 0.5},
        {"depth": "3", "distil": False},
        {"depth": "3", "learning_rate": 0.5},
        {"depth": "3", "label": "a", "recipe": {"distillation": {"logits": 2.0}}},
    ],
)
def test_one_that_keeps_less_is_a_trained_student_that_differs_in_its_bits_alone(settings):
    """How that one is trained is what this one says; without it in the sweep there is nothing to quantize."""
    plain = StudentConfig(scheme="32-32-32", **settings)
    others = [StudentConfig(scheme="32-32-32", depth="2"), StudentConfig(scheme="8-8-8", **settings)]
    assert origin([*others, plain], **settings) == plain
    with pytest.raises(UserError, match=f"'{plain.name}', which it is before it is quantized"):
        origin(others, **settings)


def test_full_precision_with_bits_of_single_modules_is_none():
    """The student that it would come from is quantized, too; the recipe of the sweep counts as well."""
    plain = StudentConfig(scheme="32-32-32", depth="3", label="a", recipe=BITS)
    with pytest.raises(UserError, match=r"recipe\.quantization\.bits, which quantizes"):
        origin([plain], depth="3", label="a", recipe=BITS)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"distil": False}, "distil=false"),
        ({"learning_rate": 0.5}, "learning_rate=0.5"),
        ({"label": "a", "recipe": {"distillation": {"logits": 2.0}}}, r"recipe\.distillation"),
        ({"label": "a", "recipe": {"schedule": ["0.5=8-8-8"]}}, r"recipe\.schedule"),
    ],
)
def test_the_teacher_is_not_trained_again(settings, said):
    """So what would say how is refused."""
    with pytest.raises(UserError, match=said):
        origin([], depth="6", **settings)
