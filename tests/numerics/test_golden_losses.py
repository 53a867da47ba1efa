"""What students learn does not change by accident: their first losses are those that were written down."""

import pytest
import torch
from golden_losses import cpu_kind, flat, golden_losses, largest_difference, read_golden

GOLDEN = read_golden()
SAME_KIND = (GOLDEN["cpu"], GOLDEN["torch"]) == (cpu_kind(), torch.__version__)
ANEW = "if students are meant to learn something else: python tests/numerics/golden_losses.py"


@pytest.fixture(scope="module")
def in_double():
    """The losses of today in double precision."""
    return golden_losses("float64")


def test_on_the_kind_of_processor_of_the_file_losses_are_equal_to_the_last_bit(in_double):
    """Every loss term of every student at each of 20 steps, in single and in double precision."""
    if not SAME_KIND:
        pytest.skip(f"the file was made on {GOLDEN['cpu']} with torch {GOLDEN['torch']}, this is {cpu_kind()}")
    for precision, losses in (("float64", in_double), ("float32", golden_losses("float32"))):
        difference, where = largest_difference(losses, GOLDEN["losses"][precision])
        assert difference == 0, f"{precision}: {where} moved by {difference:.1e}; {ANEW}"


@pytest.mark.parametrize("published", [False, True])
def test_on_every_processor_losses_in_double_precision_are_those_of_the_file(in_double, published):
    """To 1e-4; DQ-BART rounds products of codes, whose ties the last bit decides: 0.02 was seen."""

    def chosen(losses):
        cohorts = {family: dict(cohort) for family, cohort in losses.items()}
        return {f: {s: terms for s, terms in c.items() if ("dqbart" in s) == published} for f, c in cohorts.items()}

    difference, where = largest_difference(chosen(in_double), chosen(GOLDEN["losses"]["float64"]))
    assert difference < (5e-2 if published else 1e-4), f"{where} moved by {difference:.1e}; {ANEW}"


def test_the_file_holds_what_it_should():
    """Both recipes, both schemes, a classifier, every term of a recipe; made with the torch that is pinned."""
    names = flat(GOLDEN["losses"]["float32"])
    assert {"8-8-8 2-1 best", "2-2-8 2-1 best", "2-2-8 2-1 dqbart", "8-8-8 2"} <= {student for _, student, _ in names}
    assert len({term for _, _, term in names}) == 11 and all(len(values) == 20 for values in names.values())
    assert len({tuple(values) for values in names.values()}) > 50
    assert GOLDEN["torch"].partition("+")[0] == torch.__version__.partition("+")[0], ANEW
