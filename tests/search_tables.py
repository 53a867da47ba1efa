"""Spaces small enough to enumerate, as tables of costs and errors."""

import json

from hypothesis import strategies as st

from pipeline.search.cover import Cost
from pipeline.search.table import TableRow, tables_of

NUMBERS = st.integers(1, 9)  # few values: ties are where orders err
ERRORS = st.floats(0.01, 100)
DIVERGED = st.just(float("inf"))


@st.composite
def tables(draw, falling=False):
    """Costs by architecture, their errors under two assignments, an interval.

    Args:
        draw: of hypothesis.
        falling: whether errors fall along the order, and none is infinite.
    """
    error = ERRORS if falling else ERRORS | DIVERGED
    rows = draw(st.lists(st.tuples(NUMBERS, NUMBERS, error, error), min_size=1, max_size=12))
    costs = [Cost(size=size, inference=inference) for size, inference, *_ in rows]
    errors = [[row[2] for row in rows], [row[3] for row in rows]]
    if falling:
        order = sorted(range(len(rows)), key=lambda index: rows[index][:2])
        for row in errors:
            for index, value in zip(order, sorted(row, reverse=True), strict=True):
                row[index] = value
    return costs, errors, draw(st.integers(1, len(rows)))


def rows_of(triples, costs=None, seed=0, **changes):
    """Rows of one seed: candidates with errors after 1, 2 and 8 steps; costs and scores rise.

    Args:
        triples: errors.
        costs: pairs of parameters and operations; none: rising ones.
        seed: of all rows.
        changes: other fields of every row.
    """
    costs = costs or [(10.0 + index, 100.0 + index) for index in range(len(triples))]
    return [
        TableRow(
            **{
                "name": f"c{index}",
                "seed": seed,
                "costs": {"parameters": size, "operations": inference},
                "scores": {"confidence": float(index)},
                "errors": {"scratch": dict(zip((1, 2, 8), of_one, strict=True))},
                "final": "scratch",
                **changes,
            }
        )
        for index, ((size, inference), of_one) in enumerate(zip(costs, triples, strict=True))
    ]


def written_table(folder, num_candidates=4, num_seeds=1):
    """A file of such rows: dearer ones are better, and what is seen early says so."""
    triples = [(9.0 - 0.1 * one, 8.0 - 0.2 * one, 7.0 - 0.3 * one) for one in range(num_candidates)]
    rows = [row for seed in range(num_seeds) for row in rows_of(triples, seed=seed)]
    path = folder / "table.jsonl"
    path.write_text("\n".join(json.dumps(row.as_json()) for row in rows))
    return path


@st.composite
def trained_tables(draw):
    """A table of up to twelve candidates: ties in costs, a few distinct final errors, training that diverged."""
    error = st.sampled_from([0.5, 1.0, 2.0]) | ERRORS | DIVERGED
    rows = draw(st.lists(st.tuples(NUMBERS, NUMBERS, st.tuples(error, error, error)), min_size=2, max_size=12))
    costs = [(float(size), float(inference)) for size, inference, _ in rows]
    (table,) = tables_of(rows_of([errors for *_, errors in rows], costs))
    return table
