"""Settings of the gates: which are refused, and that each one is one that a gate reads."""

import re
from dataclasses import fields

import pytest
from repository import ROOT

from pipeline.config.build import build
from pipeline.config.errors import UserError
from pipeline.config.sections.gates import GatesConfig


@pytest.mark.parametrize(
    "settings", [{"min_gain": 10.0}, {"min_gain": 3.0, "implausible_gain": 2.0}, {"implausible_gain": 0.0}]
)
def test_a_gain_that_is_asked_for_is_plausible(settings):
    """Else nothing could be promoted."""
    with pytest.raises(UserError, match="nothing could be promoted"):
        GatesConfig(**settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("margin", -0.1),
        ("margin", float("nan")),
        ("max_copies_rise", 1.1),
        ("false_promotion_rate", 0.0),
        ("frozen_uses", 0),
    ],
)
def test_numbers_out_of_bounds_are_refused(name, value):
    """With the setting's name."""
    with pytest.raises(UserError, match=f"gates.{name}"):
        build(GatesConfig, {name: value}, "gates")


def test_every_setting_is_read_by_a_gate():
    """And by nobody who only names it."""
    text = "".join(path.read_text() for path in (ROOT / "pipeline" / "retraining").glob("*.py"))
    assert {field.name for field in fields(GatesConfig)} == set(re.findall(r"\bgates\.([a-z_]+)\b(?! is)", text)) - {
        "py"
    }
