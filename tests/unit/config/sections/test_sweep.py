"""Students of a sweep: list, grid, seeds."""

import json

import pytest

from pipeline.config.build import to_dict
from pipeline.config.changes import changed
from pipeline.config.errors import UserError
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config


def sweep(*words):
    return load_config(SweepJob, [f"sweep.{word}" for word in words]).sweep


def names(*words):
    return [student.name for student in sweep(*words).points()]


def test_a_grid_is_every_combination_in_the_order_of_its_axes():
    """Schemes, depths, heads, learning rates, recipes and variants; an axis that is not given has one value."""
    assert names("schemes=[8-8-8,2-2-8]", "depths=[6-3,3-1]") == ["8-8-8 6-3", "8-8-8 3-1", "2-2-8 6-3", "2-2-8 3-1"]
    assert names("learning_rates=[1e-3,0.1]", "heads=[1,0.5]") == [
        "8-8-8 6-3 lr=0.001",
        "8-8-8 6-3 lr=0.1",
        "8-8-8 6-3 heads=0.5 lr=0.001",
        "8-8-8 6-3 heads=0.5 lr=0.1",
    ]
    assert names() == ["8-8-8 6-3"]


def test_a_grid_joins_the_list_and_equal_points_count_once():
    """The list comes first, and its entry stays as it is written."""
    listed = "students=[{scheme: 4-4-8, depth: 6-3, distil: false}, {scheme: 8-8-8, depth: 6-3}]"
    assert names(listed, "schemes=[2-2-8,8-8-8]") == ["4-4-8 6-3 no-distil", "8-8-8 6-3", "2-2-8 6-3"]


def test_a_recipe_of_the_grid_is_that_recipe_whatever_the_job_has():
    """What differs is written into the student; the job's own recipe differs in nothing."""
    for own in ("best", "dqbart"):
        config = load_config(SweepJob, [f"recipe={own}", "sweep.recipes=[best,dqbart]"])
        for student in config.sweep.points():
            whole = to_dict(load_config(SweepJob, [f"recipe={student.label}"]).recipe)
            found = to_dict(changed(config.recipe, student.recipe, "recipe"))
            assert {**found, "name": student.label} == whole
            assert (student.recipe == {}) == (student.label == own)


def test_what_is_said_of_the_recipe_holds_for_every_recipe_of_the_grid():
    """The command line is later than the files; the resolved configuration can be given again."""
    words = ["recipe=dqbart", "recipe.pruning.method=gates", "sweep.recipes=[best,dqbart]"]
    config = load_config(SweepJob, words)
    for student in config.sweep.points():
        assert changed(config.recipe, student.recipe, "recipe").pruning.method == "gates"
    again = load_config(SweepJob, [*words, f"sweep.variants={json.dumps(config.sweep.variants)}"])
    assert again == config


def test_a_variant_changes_the_recipe_under_its_label():
    """Any setting of the recipe, quantizers included; the plain recipe may stand beside it."""
    (plain, ternary) = sweep("variants={plain: {}, ternary: {quantization: {weights: {two_bit: twn}}}}").points()
    assert (plain.name, plain.recipe) == ("8-8-8 6-3 plain", {})
    assert ternary.recipe == {"quantization": {"weights": {"two_bit": "twn"}}}


@pytest.mark.parametrize(("given", "seeds"), [("3", [28, 29, 30]), ("[3]", [3]), ("[]", [28]), ("[5,1]", [5, 1])])
def test_seeds_are_a_number_or_a_list(given, seeds):
    """A number counts up from the job's seed."""
    config = load_config(SweepJob, [f"sweep.seeds={given}"])
    assert config.sweep.seed_list(config.seed) == seeds


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seeds=0"], "from 1 on"),
        (["seeds=-1"], "from 1 on"),
        (["seeds=[1,1]"], "distinct"),
        (["seeds=many"], "type int"),
        (["schemes=[8-8]"], "three numbers"),
        (["schemes=[8-8-8,8-8-8]"], "every value once"),
        (["schemes=8-8-8"], "type list"),
        (["depths=[6.3]"], "write 6-3, with a hyphen"),
        (["heads=[0]"], "above 0"),
        (["recipes=[bset]"], "did you mean recipe=best"),
        (["recipes=[dqbart]", "variants={dqbart: {}}"], "rename the variant"),
        (["variants={x: 3}"], "type dict"),
        (["cohort_size=0"], "at least 1"),
        (["stopping.rule=medain"], "did you mean sweep.stopping.rule=median"),
        (["stopping.fractions=[0.5,0.2]"], "rising"),
        (["stopping.fractions=[1.5]"], "between 0 and 1"),
    ],
)
def test_a_mistake_in_a_grid_is_refused_before_anything_else(words, message):
    """With what is allowed."""
    with pytest.raises(UserError, match=message):
        sweep(*words)
