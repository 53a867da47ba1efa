"""Which generated examples are let through."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.augmentation.bounds import Bounds, within
from pipeline.augmentation.distances import Distances
from pipeline.augmentation.examples import TextExample
from pipeline.config.errors import UserError

UNIT = st.floats(0, 1)
ROWS = st.lists(
    st.builds(
        lambda edit, embedding, confidence: Distances(
            example=TextExample(source="a"), edit=edit, embedding=embedding, confidence=confidence
        ),
        UNIT,
        st.none() | UNIT | st.just(math.nan),
        st.none() | UNIT,
    )
)
BOUNDS = st.tuples(UNIT, UNIT).map(lambda pair: Bounds(min=min(pair), max=max(pair)))


@given(ROWS, st.dictionaries(st.sampled_from(["edit", "embedding", "confidence"]), BOUNDS))
def test_kept_is_what_lies_within_all_bounds(rows, bounds):
    """Bounds are included; everyone else is refused for one reason at least; nobody is lost, the order stays."""
    found = within(rows, bounds)
    inside = [
        all(
            (value := getattr(row, name)) is not None and bound.min <= value <= bound.max
            for name, bound in bounds.items()
        )
        for row in rows
    ]
    assert list(found.kept) == [row for row, holds in zip(rows, inside, strict=True) if holds]
    assert [one.row for one in found.refused] == [row for row, holds in zip(rows, inside, strict=True) if not holds]
    assert all(1 <= len(one.reasons) <= len(bounds) for one in found.refused)
    assert sum(found.counts.values()) == sum(len(one.reasons) for one in found.refused)


def test_reasons_are_counted():
    """Too near, too far, unsure, unknown; one example may have several."""
    rows = [
        Distances(example=TextExample(source="a"), edit=edit, embedding=embedding, confidence=confidence)
        for edit, embedding, confidence in [(0.0, 0.1, 0.9), (0.9, 0.1, 0.5), (0.2, None, 0.5), (0.2, 0.1, 0.7)]
    ]
    found = within(
        rows, {"edit": Bounds(min=0.1, max=0.5), "embedding": Bounds(max=0.3), "confidence": Bounds(min=0.7)}
    )
    assert found.counts == {"confidence below 0.7": 2, "edit below 0.1": 1, "edit above 0.5": 1, "embedding unknown": 1}
    assert found.refused[1].reasons == ("edit above 0.5", "confidence below 0.7") and found.kept == (rows[3],)


def test_without_bounds_all_are_kept():
    """Whatever is unknown of them."""
    rows = [Distances(example=TextExample(source="a"), edit=math.nan)]
    assert within(rows, {}).kept == tuple(rows) and within(rows, {}).counts == {}


def test_bounds_without_sense_are_refused():
    """Nothing between, no number, no such measure."""
    for given_ in ({"min": 0.5, "max": 0.4}, {"min": math.nan}, {"max": math.nan}):
        with pytest.raises(UserError, match="bounds from"):
            Bounds(**given_)
    with pytest.raises(UserError, match="Allowed: edit, embedding, confidence"):
        within([], {"edits": Bounds()})
