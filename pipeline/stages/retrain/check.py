"""Whether tonight's data can be trusted: all of them beside the last accepted ones, and what is new by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.console.tables import plain_number
from pipeline.retraining.check_result import CheckResult, undecided
from pipeline.retraining.data_checks import check_data
from pipeline.retraining.likelihood import NAME, Likelihoods, alignment_by_likelihood
from pipeline.stages.retrain.data import Accepted, NightData, pairs_of

FEWEST_ALONE = 50  # new examples: shares and distances of fewer are chance
ALONE = "new examples, "  # before the names of their checks
NO_TEXTS = ("types", "NUL bytes")  # checks without which nobody can be asked
CHANCE, TELLING = 0.5, 0.05  # share of pairs whose own target is likelier to a teacher that knows nothing, and beyond


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What checks said.

    Args:
        results: of all.
    """

    results: Sequence[CheckResult]

    @property
    def refusals(self) -> list[str]:
        """Why the data are not trusted, in sentences; empty: they are."""
        return [f"{one.name}: {one.sentence}" for one in self.results if not one.passed]

    @property
    def are_texts(self) -> bool:
        """Whether all examples are texts that a model can be asked."""
        broken = [one.name.removeprefix(ALONE) for one in self.results if not one.passed]
        return not any(name.startswith(NO_TEXTS) for name in broken)


def check_night_data(data: NightData, accepted: Accepted | None, config: DataChecksConfig) -> Checked:
    """Check tonight's data; no check is left out because another one has refused them.

    Args:
        data: tonight's.
        accepted: what the last accepted night had; none before the first.
        config: bounds.
    """
    frozen = pairs_of(data.frozen)
    reference = None if accepted is None else pairs_of([*accepted.rows, *accepted.newest])
    everything = pairs_of([*data.train, *data.newest, *data.leaking])
    results = list(check_data(everything, reference, frozen, config, data.has_labels).results)
    if reference is not None and 0 < len(data.new) < FEWEST_ALONE:
        results.append(undecided("new examples", f"{len(data.new)} are too few to be checked by themselves."))
    elif reference is not None and data.new:
        # Among many old examples a few bad new ones would not show. They may be few: only the whole has a volume.
        alone = replace(config, min_examples=1, min_volume=0.0, max_volume=float("inf"))
        found = check_data(pairs_of(data.new), reference, frozen, alone, data.has_labels)
        results += [replace(one, name=f"{ALONE}{one.name}") for one in found.results]
    return Checked(results=results)


def with_likelihood(
    checked: Checked, new: Likelihoods, reference: Likelihoods | None, config: DataChecksConfig
) -> Checked:
    """The same with what a teacher says.

    Args:
        checked: so far.
        new: of tonight's new examples.
        reference: of accepted examples that it was not trained on: a weak teacher refuses nothing that it could not
            tell there either; none: there are none.
        config: bounds.
    """
    bound = config.min_likelier
    if reference is not None and (known := _share(reference)) is not None:
        bound = min(bound, CHANCE + config.min_alignment * (known - CHANCE))
        if known < CHANCE + TELLING:
            sentence = f"The teacher finds own targets likelier in {known:.2%} of accepted pairs: it cannot tell."
            return replace(checked, results=[*checked.results, undecided(NAME, sentence)])
    found = alignment_by_likelihood(new.true_nll, new.shuffled_nll, bound, new.labels)
    return replace(checked, results=[*checked.results, found])


def _share(said: Likelihoods) -> float | None:
    return alignment_by_likelihood(said.true_nll, said.shuffled_nll, 0.0, said.labels).measured


def check_table(checked: Checked) -> list[list[str]]:
    """Header and a row a check, those that were not passed first."""
    lines = [["check", "passed", "measured", "allowed", "found"]]
    for one in sorted(checked.results, key=lambda one: one.passed):
        numbers = [plain_number(value) for value in (one.measured, one.allowed)]
        lines.append([one.name, "yes" if one.passed else "NO", *numbers, one.sentence])
    return lines
