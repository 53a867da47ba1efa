"""What a search leaves aside is said."""

import pytest

from pipeline.config.sections.search import SearchConfig
from pipeline.config.sections.search_space import MixedBitsConfig, ModelSpaceConfig, StudentSpaceConfig
from pipeline.stages.search.checks import say_ignored

MIXED = MixedBitsConfig(depth="2-1", bits=[2, 8])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"kind": "mixed_bits", "mixed": MIXED, "eps": 4, "rule": "halving", "steps": [1, 2], "keep": 0.3},
            "search.eps=4, search.rule=halving, search.keep=0.3, search.steps=[1, 2] but for the last",
        ),
        ({"kind": "mixed_bits", "measure": "score", "num_chosen": 3}, "search.measure=score, search.num_chosen=3"),
        ({"kind": "models", "mixed": MIXED, "keep": 0.3}, "search.mixed, search.keep=0.3"),
        ({"kind": "students", "models": ModelSpaceConfig(heads=[2])}, "search.models"),
    ],
)
def test_settings_that_a_search_does_not_look_at_are_named(capsys, settings, said):
    """Once, together, and nothing else."""
    say_ignored(SearchConfig(**settings))
    words = " ".join(capsys.readouterr().err.split())
    assert words.endswith(f": ignored: {said}")


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "mixed_bits", "mixed": MIXED, "steps": [9], "max_mib": 1.0},
        {"kind": "models", "models": ModelSpaceConfig(heads=[2]), "eps": 1, "rule": "halving", "steps": [1, 2]},
        {"students": StudentSpaceConfig(heads=[0.5]), "rule": "halving", "steps": [1, 2], "keep": 0.3},
        {},
    ],
)
def test_nothing_is_said_of_settings_that_count(capsys, settings):
    """Nor of those that are as they were."""
    say_ignored(SearchConfig(**settings))
    assert "ignored" not in capsys.readouterr().err
