"""Spaces small enough to enumerate, as tables of costs and errors."""

from hypothesis import strategies as st

from pipeline.search.cover import Cost

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
