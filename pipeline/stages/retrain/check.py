"""Whether tonight's data can be trusted: all of them beside the last accepted ones, and what is new by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining.check_result import CheckResult
from pipeline.retraining.data_checks import check_data
from pipeline.retraining.likelihood import Likelihoods, alignment_by_likelihood
from pipeline.stages.retrain.data import Accepted, NightData, Row, pairs_of


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What checks said.

    Args:
        results: of all.
        rows: what is trained on: without examples of the frozen set.
        num_removed: how many those were.
    """

    results: Sequence[CheckResult]
    rows: Sequence[Row]
    num_removed: int

    @property
    def refusals(self) -> list[str]:
        """Why the data are not trusted, in sentences; empty: they are."""
        return [f"{one.name}: {one.sentence}" for one in self.results if not one.passed]


def check_night_data(data: NightData, accepted: Accepted | None, config: DataChecksConfig) -> Checked:
    """Check tonight's data; no check is left out because another one has refused them.

    Args:
        data: tonight's.
        accepted: what the last accepted night had; none before the first.
        config: bounds.
    """
    frozen = pairs_of(data.frozen)
    reference = None if accepted is None else pairs_of([*accepted.rows, *accepted.newest])
    everything = check_data(pairs_of([*data.train, *data.newest]), reference, frozen, config, data.has_labels)
    results = list(everything.results)
    if reference is not None and data.new:
        # Among many old examples a few bad new ones would not show. They may be few: only the whole has a volume.
        alone = replace(config, min_examples=1, min_volume=0.0, max_volume=float("inf"))
        found = check_data(pairs_of(data.new), reference, frozen, alone, data.has_labels)
        results += [replace(one, name=f"new examples, {one.name}") for one in found.results]
    removed = {index for index in everything.overlapping if index < len(data.train)}
    rows = [row for index, row in enumerate(data.train) if index not in removed]
    return Checked(results=results, rows=rows, num_removed=len(removed))


def with_likelihood(checked: Checked, likelihoods: Likelihoods, config: DataChecksConfig) -> Checked:
    """The same with what a teacher says."""
    found = alignment_by_likelihood(
        likelihoods.true_nll, likelihoods.shuffled_nll, config.min_likelier, likelihoods.labels
    )
    return replace(checked, results=[*checked.results, found])


def check_table(checked: Checked) -> list[list[str]]:
    """Header and a row a check."""
    lines = [["check", "passed", "measured", "allowed", "found"]]
    for one in checked.results:
        numbers = ["-" if value is None else f"{value:.4g}" for value in (one.measured, one.allowed)]
        lines.append([one.name, "yes" if one.passed else "NO", *numbers, one.sentence])
    return lines
