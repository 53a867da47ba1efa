"""What is seen of a trial: its error after some numbers of steps, written as soon as it is known.

A file holds what was seen under one key, whatever search asked for it. So a search that is submitted again, or one with
another space, interval or limit, trains only what nobody has trained.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.stages.search.space import TrialPlan
from pipeline.storage.sealed import DamagedFileError
from pipeline.storage.sealed_json import read_sealed_json, sealed_json

FILE = "seen.json"
REMEDY = "remove the file: the search then makes this trial again"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why and when the training of a trial ended early.

    Args:
        step: the optimiser step at which, from 1; 0: it did not begin.
        reason: for people.
    """

    step: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of a trial.

    Args:
        errors: optimiser step -> error.
        failure: what ended its training; none where nothing did.
    """

    errors: dict[int, float] = field(default_factory=dict)
    failure: Failure | None = None

    def after(self, step: int) -> float | None:
        """The error after a step: infinite where training had ended by then, none where nobody has looked."""
        had_failed = self.failure is not None and self.failure.step <= step
        return self.errors.get(step, math.inf if had_failed else None)


def read_seen(folder: Path) -> Seen:
    """What is known of the trial of a folder; nothing where there is no file.

    Raises:
        UserError: a damaged file.
    """
    file = folder / FILE
    if not file.is_file():
        return Seen()
    try:
        written = read_sealed_json(file)
        failure = Failure(**written["failure"]) if written["failure"] else None
        return Seen(errors={int(step): error for step, error in written["errors"].items()}, failure=failure)
    except DamagedFileError as damage:
        raise DamagedFileError(damage.file, damage.expected, damage.found, REMEDY) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        given = f"{file}: {type(error).__name__}: {error}"
        raise UserError(given, "a file as a search has written it", REMEDY) from None


def add_error(folder: Path, step: int, error: float) -> None:
    """Write down an error; what else is known stays."""
    seen = read_seen(folder)
    _write(folder, Seen(errors=seen.errors | {step: error}, failure=seen.failure))


def add_failure(folder: Path, step: int, reason: str) -> None:
    """Write down at which step a trial ended early, and why; what was written before stays."""
    seen = read_seen(folder)
    _write(folder, Seen(errors=seen.errors, failure=seen.failure or Failure(step=step, reason=reason)))


def _write(folder: Path, seen: Seen) -> None:
    errors = {str(step): error for step, error in sorted(seen.errors.items())}
    sealed_json(folder / FILE, {"errors": errors, "failure": seen.failure and asdict(seen.failure)})


def is_open(trial: TrialPlan, step: int) -> bool:
    """Whether nobody knows its error after a step."""
    return read_seen(trial.folder).after(step) is None


def errors_of(trials: Iterable[TrialPlan], step: int) -> dict[str, dict[float, list[float]]]:
    """Point -> learning rate -> errors of its seeds after a step; only assignments all of whose seeds are known."""
    found: dict[str, dict[float, list[float | None]]] = {}
    for trial in trials:
        of_point = found.setdefault(trial.point, {})
        of_point.setdefault(trial.learning_rate, []).append(read_seen(trial.folder).after(step))
    known = {
        point: {rate: [e for e in errors if e is not None] for rate, errors in rates.items() if None not in errors}
        for point, rates in found.items()
    }
    return {point: rates for point, rates in known.items() if rates}


def mean_error(errors: Sequence[float]) -> float:
    """The error over seeds; infinite if one of them diverged."""
    return statistics.fmean(errors) if all(map(math.isfinite, errors)) else math.inf
