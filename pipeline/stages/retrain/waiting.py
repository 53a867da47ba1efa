"""How long a truly better model waits for its promotion: nights simulated with tonight's gates, examples and chance."""

from __future__ import annotations

import math

from pipeline.config.sections.gates import GatesConfig
from pipeline.retraining.evidence import Measured
from pipeline.retraining.simulation import World, simulate
from pipeline.retraining.spending import paired

TITLE = "Waiting"
GAINS = (0.5, 1.0, 2.0, 4.0)  # points
NIGHTS = (1, 7)
MOST_REPETITIONS, LEAST_REPETITIONS, MOST_DRAWS = 100, 20, 200_000  # of one night: tenths of a second
MOST_EXAMPLES = 100_000  # with which nearly any gain is seen at once, and draws would take long


def waiting_table(candidate: Measured, champion: Measured, gates: GatesConfig, seed: int) -> list[list[str]] | None:
    """Header and a row for each true gain: how likely it is promoted in one night, and in a week of them.

    Only gates of scores are simulated: others may keep a candidate, too.

    Args:
        candidate: tonight's; how much it and the champion differ from example to example is what chance is taken for.
        champion: measured beside it.
        gates: as configured.
        seed: of the draws.

    Returns:
        none where nothing can be said: no newest data, answers that are all the same, scores that are none, or so many
        examples that nothing need be said.
    """
    differences = paired(candidate.frozen_scores, champion.frozen_scores)
    deviation, num_newest = float(differences.std()), len(candidate.newest_scores)
    if not math.isfinite(deviation) or deviation == 0 or len(differences) < 2 or num_newest < 2:
        return None
    if len(differences) + num_newest > MOST_EXAMPLES:
        return None
    world = World(num_frozen=len(differences), num_newest=num_newest, deviation=deviation)
    num_repetitions = max(LEAST_REPETITIONS, min(MOST_REPETITIONS, MOST_DRAWS // (world.num_frozen + num_newest)))
    lines = [["truly better by, points", *(f"promoted within {_nights(number)}" for number in NIGHTS)]]
    for gain in GAINS:
        found = simulate([gain] * NIGHTS[-1], gates, world, num_repetitions=num_repetitions, seed=seed)
        lines.append([f"{gain:g}", *(f"{found.share_promoted_within(number):.0%}" for number in NIGHTS)])
    return lines


def waiting_note(lines: list[list[str]]) -> str:
    """In a sentence: the least of the gains that a week is nearly sure to promote."""
    sure = next((gain for gain, *_, last in lines[1:] if float(last.rstrip("%")) >= 95), None)
    if sure is None:
        return f"Not even a gain of {lines[-1][0]} points is nearly sure to be promoted within {_nights(NIGHTS[-1])}."
    return f"A true gain of {sure} points is nearly sure to be promoted within {_nights(NIGHTS[-1])}."


def _nights(number: int) -> str:
    return f"{number} night{'s' * (number > 1)}"
