"""Bounds of the checks of data."""

import pytest

from pipeline.config.errors import UserError
from pipeline.config.sections.data_checks import DataChecksConfig


@pytest.mark.parametrize("settings", [{"min_volume": 1.1}, {"max_volume": 0.9}])
def test_as_many_examples_as_before_are_never_wrong(settings):
    """Bounds of the volume lie on both sides of 1."""
    with pytest.raises(UserError, match="min_volume"):
        DataChecksConfig(**settings)
    assert DataChecksConfig(min_volume=1.0, max_volume=1.0)
