"""Orders that are known before the end."""

import numpy as np
from search_tables import rows_of

from pipeline.search.goals import CostColumns, highest_w, least_error
from pipeline.search.rankers import cost_rankers, error_rankers, saving_ranker, score_rankers
from pipeline.search.table import tables_of

COLUMNS = CostColumns(size="parameters", inference="operations")
GROUPS = {"scratch": {1: 9.0, 4: 5.0}, "distilled": {1: 9.5, 8: 3.0}}
(TABLE,) = tables_of(rows_of([(9.0, 5.0, 3.0), (8.0, 6.0, 2.0), (7.0, 4.0, 1.0)]))
(GROUPED,) = tables_of(rows_of([(1.0, 1.0, 1.0)] * 2, errors=GROUPS, final="distilled"))


def test_everything_that_is_known_before_the_end_is_a_ranker():
    """Every cost, every score, every error but the final one; costs and scores take no training."""
    free = [*cost_rankers(TABLE), *score_rankers(TABLE)]
    assert [(one.name, one.steps, one.remaining) for one in free] == [
        (name, 0, 8) for name in ("parameters", "operations", "confidence")
    ]
    assert [(one.name, one.steps, one.remaining) for one in error_rankers(TABLE)] == [
        ("error after 1", 1, 7),
        ("error after 2", 2, 6),
    ]


def test_what_was_trained_is_paid_once_where_it_is_the_run_that_goes_on():
    """Errors from scratch are of a run that the distilled end is not the end of."""
    assert [(one.name, one.steps, one.remaining) for one in error_rankers(GROUPED)] == [
        ("error after 1, scratch", 1, 8),
        ("error after 4, scratch", 4, 8),
        ("error after 1, distilled", 1, 7),
    ]


def test_rankers_take_the_dear_the_high_scored_and_the_least_erring_first():
    """Under a limit; for W an error counts as the W that it gives, and saving takes the cheapest first."""
    goal = least_error(TABLE, COLUMNS, 11)
    first = {
        one.name: goal.allowed[one.order_values(goal).argmin()]
        for one in [*cost_rankers(TABLE), *score_rankers(TABLE), *error_rankers(TABLE)]
    }
    assert first == {"parameters": 1, "operations": 1, "confidence": 1, "error after 1": 1, "error after 2": 0}
    w = highest_w(TABLE, COLUMNS, COLUMNS.maximum(TABLE))
    assert saving_ranker(TABLE, w).order_values(w).argmin() == 0
    [after_1, _] = error_rankers(TABLE)
    assert np.array_equal(after_1.order_values(w), -w.weights / TABLE.errors["scratch"][1])
