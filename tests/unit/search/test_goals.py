"""What is looked for in a table."""

import math

import numpy as np
import pytest
from hypothesis import given
from search_tables import rows_of, trained_tables

from pipeline.config.errors import UserError
from pipeline.search.cover import w_coefficient
from pipeline.search.goals import CostColumns, highest_w, least_error
from pipeline.search.table import tables_of

COLUMNS = CostColumns(size="parameters", inference="operations")


@given(trained_tables())
def test_merit_is_w_or_one_over_the_error(table):
    """W of the published equation to the last digit."""
    maximum, every = COLUMNS.maximum(table), np.arange(len(table.names))
    w = highest_w(table, COLUMNS, maximum)
    pairs = zip(COLUMNS.of(table), table.final_error.tolist(), strict=True)
    assert w.merit(every, table.final_error).tolist() == [w_coefficient(cost, maximum, error) for cost, error in pairs]
    least = least_error(table, COLUMNS, math.inf)
    assert least.merit(every, table.final_error).tolist() == (1 / table.final_error).tolist()


@given(trained_tables())
def test_regret_is_never_negative_and_0_for_the_best(table):
    """Of all that the goal allows; the missing part of W is at most all of it."""
    for goal in (
        highest_w(table, COLUMNS, COLUMNS.maximum(table)),
        least_error(table, COLUMNS, COLUMNS.limit(table, 0.5)),
    ):
        regrets = [goal.regret(table, int(candidate)) for candidate in goal.allowed]
        assert min(regrets) == 0 and not any(math.isnan(regret) for regret in regrets)
        assert not goal.by_weight or max(regrets) <= 1


@given(trained_tables())
def test_a_limit_allows_all_that_meet_it_cheapest_first(table):
    """And that part of the table at least."""
    for part in (0.25, 0.5, 1.0):
        limit, sizes = COLUMNS.limit(table, part), table.costs["parameters"]
        allowed = least_error(table, COLUMNS, limit).allowed
        assert set(allowed) == set(np.flatnonzero(sizes <= limit)) and len(allowed) >= part * len(sizes)
        assert limit == np.sort(sizes)[math.ceil((len(sizes) - 1) * part)]
        assert (np.diff(sizes[allowed]) >= 0).all() and limit in sizes


def test_a_limit_that_none_meets_names_the_nearest():
    """So do costs that the table does not have name those that it has."""
    (table,) = tables_of(rows_of([(3, 2, 1), (3, 2, 1)]))
    with pytest.raises(UserError, match=r"at most 9\. Allowed: limits from 10 on, the size of 'c0'"):
        least_error(table, COLUMNS, 9)
    assert len(least_error(table, COLUMNS, 10).allowed) == 1
    for columns in (
        CostColumns(size="size_bytes", inference="operations"),
        CostColumns(size="parameters", inference="ms"),
    ):
        with pytest.raises(UserError, match="parameters, operations"):
            columns.of(table)
