"""Runs are found by their names, whatever signs are in them."""

import pytest

from pipeline.config.errors import UserError
from pipeline.tracking.filters import condition_on

NAMES = ["2-2-8 6-3 seed=1", 'it\'s "x"', "'; --", "a\\b", "a%b", "a_b", "ü", "a\nb", "`x`"]


def test_a_run_of_any_name_is_found(tracker):
    """One whose name MLflow's filters cannot say, too; none is mistaken for another."""
    made = {name: tracker.client.create_run(tracker.experiment_id, run_name=name).info.run_id for name in NAMES}
    assert {name: tracker.one_run(name).run_id for name in NAMES} == made
    for missing in ('it\'s "y"', "A_B", "a%", "' or name != '"):
        with pytest.raises(UserError, match="no run of the id or name"):
            tracker.one_run(missing)
    tracker.client.delete_run(made['it\'s "x"'])
    with pytest.raises(UserError, match="is deleted in MLflow"):
        tracker.one_run('it\'s "x"')


def test_a_plain_name_is_looked_for_by_the_store():
    """So that not every run is fetched."""
    assert condition_on("name", "2-2-8 6-3 seed=1") == "name = '2-2-8 6-3 seed=1'"
    assert condition_on("name", "it's") == ""
