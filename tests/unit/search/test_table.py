"""Rows and columns of trained architectures."""

import math
from dataclasses import replace

import numpy as np
import pytest
from search_tables import rows_of

from pipeline.config.errors import UserError
from pipeline.search.table import tables_of

ERRORS = [(9.0, 5.0, 3.0), (8.0, 6.0, 2.0), (7.0, 4.0, math.inf)]


def test_a_table_holds_every_number_of_its_rows_in_their_order():
    """One table per seed, seeds rising; candidates as the first seed has them, whatever the order of the others."""
    other = [
        replace(row, seed=-1, errors={"scratch": {1: 1.0, 2: 1.0, 8: float(row.name[1:]) + 1}})
        for row in rows_of(ERRORS)
    ]
    first, second = tables_of([*rows_of(ERRORS), *reversed(other)])
    assert (first.seed, second.seed) == (-1, 0)
    assert first.names == second.names == ("c0", "c1", "c2")
    assert second.final_error.tolist() == [3.0, 2.0, math.inf] and first.final_error.tolist() == [1.0, 2.0, 3.0]
    assert second.errors["scratch"][2].tolist() == [5.0, 6.0, 4.0]
    assert second.costs["parameters"].tolist() == [10.0, 11.0, 12.0] and second.end == 8


def test_what_is_offered_is_the_table_of_those_candidates():
    """In the order in which they are offered."""
    (table,) = tables_of(rows_of(ERRORS))
    offered = table.offered(np.array([2, 0]))
    assert offered.names == ("c2", "c0") and offered.final_error.tolist() == [math.inf, 3.0]
    assert offered.costs["operations"].tolist() == [102.0, 100.0] and offered.scores["confidence"].tolist() == [
        2.0,
        0.0,
    ]
    assert offered.end == table.end


@pytest.mark.parametrize(
    "change",
    [
        {"costs": {}},
        {"costs": {"parameters": 0}},
        {"costs": {"parameters": math.inf}},
        {"costs": {"parameters": True}},
        {"costs": {"parameters": "many"}},
        {"scores": {"confidence": math.nan}},
        {"scores": {"confidence": None}},
        {"errors": {"scratch": {}}},
        {"errors": {"scratch": {0: 1.0}}},
        {"errors": {"scratch": {1: 0.0}}},
        {"errors": {"scratch": {1: math.nan}}},
        {"errors": {"scratch": {1: "low"}}},
        {"errors": {"distilled": {1: 1.0}}},
        {"errors": {}},
        {"final": "distilled"},
    ],
)
def test_a_row_holds_numbers_that_can_be(change):
    """The message names the candidate; one whose training diverged is a row."""
    with pytest.raises(UserError, match=r"candidate 'c0' \(seed 0\)"):
        replace(rows_of(ERRORS)[0], **change)
    assert rows_of([(9.0, math.inf, math.inf)])[0].errors["scratch"][8] == math.inf


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "without rows"),
        (rows_of(ERRORS[:1]), "one candidate"),
        ([*rows_of(ERRORS), rows_of(ERRORS)[0]], "a second row"),
        ([*rows_of(ERRORS), *rows_of(ERRORS[:2], seed=1)], "other candidates than seed 0: c2"),
        ([*rows_of(ERRORS), *rows_of(ERRORS, [(1, 1), (11, 101), (12, 102)], seed=1)], "'c0' .seed 1.: costs"),
        (
            [*rows_of(ERRORS), *rows_of(ERRORS[:1], name="other", costs=[(1, 1)], scores={})],
            "'other' .seed 0.: columns",
        ),
        ([*rows_of(ERRORS), *rows_of([(1, 2, 3)], name="other", errors={"scratch": {1: 1.0, 8: 2.0}})], "columns"),
    ],
)
def test_rows_go_together(rows, message):
    """Else a ranker would be held against another's numbers."""
    with pytest.raises(UserError, match=message):
        tables_of(rows)
