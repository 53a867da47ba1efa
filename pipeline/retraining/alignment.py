"""Whether every target still stands beside its own source, as far as texts alone can tell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining.agreement import Agreement, Mean, Numbers, agreements, mean_of
from pipeline.retraining.check_result import CheckResult, undecided
from pipeline.retraining.pairs import Pairs

NUM_ERRORS = 3.0  # standard errors between the bound and what shuffled pairs have
NUM_ERRORS_MOVED = 5.0  # more, because many moves of many parts are tried
MOST_PARTS = 8  # of a file: a line may be missing anywhere, and what stands before it is in order
ROWS_OF_PART = 100
MOST_ROWS = 20_000  # whose neighbours are compared, evenly spread


def check_alignment(new: Pairs, reference: Pairs | None, config: DataChecksConfig) -> list[CheckResult]:
    """Pairs against shuffled pairs, relative to accepted data; and against pairs whose targets are moved.

    Args:
        new: pairs of texts; of a label neither length nor words tell whose it is.
        reference: those accepted before; none: there are none.
        config: bounds.
    """
    found = agreements(new)
    results = [check_moved(found, len(new), config)] if config.max_moved else []
    if reference is None:
        return results
    for own, before in zip(found, agreements(reference), strict=True):
        results.append(_compared(own.name, _over_pairs(own, len(new)), _over_pairs(before, len(reference)), config))
    return results


def check_moved(found: Sequence[Agreement], num_pairs: int, config: DataChecksConfig) -> CheckResult:
    """Whether targets of some part of a file agree more with sources some lines away than with their own.

    It holds where files are sorted, too, so that neighbours are alike. Their order is what it is about.

    Args:
        found: ways to compare sources and targets.
        num_pairs: how many there are.
        config: how far away is looked.
    """
    worst, by, where = NUM_ERRORS_MOVED, 0, ""
    for agreement in found:
        for part, moved, errors in _moves(agreement, num_pairs, config.max_moved):
            if errors > worst:
                worst, by = errors, moved
                where = f"in part {part + 1} of {_num_parts(num_pairs)} of the data, by {agreement.name}"
    sentence = f"No move by up to {config.max_moved} lines makes targets fit better."
    if by:
        sentence = (
            f"Sources fit targets {abs(by)} line{'s' * (abs(by) > 1)} {'below' if by > 0 else 'above'} better than "
            f"their own ({where}, {worst:.1f} standard errors)."
        )
    return CheckResult(name="alignment: moved lines", passed=not by, measured=by, allowed=0, sentence=sentence)


def _moves(agreement: Agreement, num_pairs: int, most: int) -> Iterator[tuple[int, int, float]]:
    """Parts and moves, and by how many standard errors moved targets agree at all, and more than own ones.

    Where long answers belong to short questions, agreement is negative: more is what is further from 0.
    """
    rows = np.unique(np.linspace(0, max(0, num_pairs - 1), min(num_pairs, MOST_ROWS)).astype(np.int64))
    for part, places in enumerate(np.array_split(rows, _num_parts(num_pairs))):
        own = agreement.between(places, places)
        for moved in (move for move in range(-most, most + 1) if move):
            has_other = (places + moved >= 0) & (places + moved < num_pairs)
            here = places[has_other]
            there = agreement.between(here, here + moved)
            before, total = own[has_other], math.fsum(there)
            sign = math.copysign(1.0, total)
            if abs(total) > abs(math.fsum(before)):
                yield part, moved, min(_num_errors(sign * there), _num_errors(sign * (there - before)))


def _num_errors(numbers: Numbers) -> float:
    """By how many standard errors the mean of numbers is above 0."""
    found = mean_of(numbers)
    return found.mean / found.error if found.error else 0.0


def _num_parts(num_pairs: int) -> int:
    return min(MOST_PARTS, max(1, num_pairs // ROWS_OF_PART))


def _over_pairs(agreement: Agreement, num_pairs: int) -> Mean:
    places = np.arange(num_pairs)
    return mean_of(agreement.between(places, places))


def _compared(name: str, new: Mean, before: Mean, config: DataChecksConfig) -> CheckResult:
    """The agreement of new pairs in parts of that of accepted ones, where that is more than chance."""
    kept, title = config.min_alignment, f"alignment: {name}"
    numbers = f"agreement {new.mean:.3f} (accepted data: {before.mean:.3f}, shuffled pairs: 0)"
    error = math.hypot(new.error, kept * before.error)
    if not kept * abs(before.mean) > NUM_ERRORS * error:
        return undecided(title, f"Agreement in {name} cannot tell true from shuffled pairs here: {numbers}.")
    part = new.mean / before.mean
    sentence = f"In {name}: {numbers}, {part:.2f} of what it was."
    return CheckResult(name=title, passed=part >= kept, measured=part, allowed=kept, sentence=sentence)
