"""What a night may end with, what a scheduler is told of it, and whether somebody should be woken.

Codes 1, 2 and 3 are those of every job: a student failed, a user's mistake, a crash.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Decision(StrEnum):
    """How a night ended."""

    NO_CHANGE = "no_change"
    PROMOTED = "promoted"
    KEPT = "kept"
    REFUSED = "refused"
    ANOMALOUS = "anomalous"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What a decision means to those who did not take it.

    Args:
        exit_code: of the job.
        meaning: one sentence.
        alerts: whether a scheduler should tell a person.
        advice: one sentence: what to do.
    """

    exit_code: int
    meaning: str
    alerts: bool
    advice: str


# sysexits.h calls 75 EX_TEMPFAIL: the same command may succeed later.
RETRIABLE = Ending(
    exit_code=75,
    meaning="Something outside failed before there was a decision, and the same command may succeed later.",
    alerts=False,
    advice="Start the same command again, and alert once the retries are used up.",
)
ENDINGS = {
    Decision.NO_CHANGE: Ending(
        exit_code=0,
        meaning="Nothing new has arrived since the last night, so nothing was trained.",
        alerts=False,
        advice="Do nothing.",
    ),
    Decision.PROMOTED: Ending(
        exit_code=0,
        meaning="The candidate passed every gate and is the champion now.",
        alerts=False,
        advice="Do nothing.",
    ),
    Decision.KEPT: Ending(
        exit_code=10,
        meaning="The candidate did not pass every gate, so the champion stays.",
        alerts=False,
        advice="Do not alert for one night; the verdict has alarms where a champion became too old.",
    ),
    Decision.REFUSED: Ending(
        exit_code=11,
        meaning="The newest data did not pass their checks, so nothing was trained on them.",
        alerts=True,
        advice="Alert: whoever delivers the data has to look at them.",
    ),
    Decision.ANOMALOUS: Ending(
        exit_code=12,
        meaning="What was measured is too good to be true, or no number at all, and the champion stays.",
        alerts=True,
        advice="Alert: a leak of test data into training is suspected.",
    ),
    Decision.FAILED: Ending(
        exit_code=13,
        meaning="The night ended without a decision, and the same command would fail again.",
        alerts=True,
        advice="Alert, and do not start it again before somebody has looked.",
    ),
}


def ending_of(decision: Decision, *, is_retriable: bool = False) -> Ending:
    """What a decision means to a scheduler.

    Args:
        decision: of the night.
        is_retriable: of FAILED: whether the same command may succeed later.

    Raises:
        ValueError: another decision than FAILED is said to be retriable.
    """
    if is_retriable and decision is not Decision.FAILED:
        raise ValueError(f"{decision} is no failure that could be tried again")
    return RETRIABLE if is_retriable else ENDINGS[decision]
