"""All checks of tonight's training data; every one is run, whatever others found."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining import duplicates, schema, shifts
from pipeline.retraining.alignment import check_alignment
from pipeline.retraining.check_result import CheckResult, undecided
from pipeline.retraining.languages import check_language
from pipeline.retraining.likelihood import NAME, Likelihoods, alignment_by_likelihood
from pipeline.retraining.overlap import check_overlap
from pipeline.retraining.pairs import Pairs


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What the checks found.

    Args:
        results: of every check, in the order they were run.
    """

    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Whether the data may be trained on, without those examples whose source is in the frozen test set."""
        return all(result.passed for result in self.results)

    @property
    def refusals(self) -> tuple[CheckResult, ...]:
        """The checks that did not pass."""
        return tuple(result for result in self.results if not result.passed)

    @property
    def undecided(self) -> tuple[CheckResult, ...]:
        """The checks that could not tell."""
        return tuple(result for result in self.results if result.measured is None)

    def rows(self) -> list[dict[str, object]]:
        """A row a check, for a table."""
        return [
            {
                "check": result.name,
                "passed": result.passed,
                "measured": result.measured,
                "allowed": result.allowed,
                "found": result.sentence,
            }
            for result in self.results
        ]


def check_data(
    new: Pairs,
    reference: Pairs | None,
    frozen: Pairs,
    config: DataChecksConfig,
    has_labels: bool,
    likelihoods: Likelihoods | None = None,
) -> DataReport:
    """Run all checks.

    Args:
        new: tonight's training data, in the order of their file.
        reference: the training data accepted last; none: nothing was accepted yet.
        frozen: the test set that never changes.
        config: bounds.
        has_labels: whether targets are labels of a classification.
        likelihoods: what a teacher says of new pairs; none: there is no teacher yet.
    """
    texts = new.at(schema.textual(new))
    results = [schema.check_number(new, config), schema.check_types(new)]
    results += _by_itself(texts, config, has_labels)
    if reference is None:
        results.append(undecided("accepted data", "Nothing was accepted before: there is nothing to compare with."))
    else:
        results += _against(texts, reference, config, has_labels)
    if not has_labels:
        results += check_alignment(texts, reference, config)
    if likelihoods is None:
        results.append(undecided(NAME, "There is no teacher yet to say how likely targets are."))
    else:
        numbers = (likelihoods.true_nll, likelihoods.shuffled_nll)
        results.append(alignment_by_likelihood(*numbers, config.min_likelier, likelihoods.labels))
    return DataReport(results=(*results, check_overlap(new.sources, frozen.sources, config).result))


def _by_itself(new: Pairs, config: DataChecksConfig, has_labels: bool) -> list[CheckResult]:
    results = []
    for column, texts in (("sources", new.sources), ("targets", new.targets)):
        results += schema.check_characters(texts, column, config)
        results.append(schema.check_empty(texts, column, config))
        results.append(schema.check_variety(texts, column, config, are_labels=has_labels and column == "targets"))
    results.append(duplicates.check_duplicates(new, config))
    contradictions = duplicates.check_contradictions if has_labels else duplicates.check_targets_per_source
    return [*results, contradictions(new, config)]


def _against(new: Pairs, reference: Pairs, config: DataChecksConfig, has_labels: bool) -> list[CheckResult]:
    results = [shifts.check_volume(new, reference, config)]
    columns = [("sources", new.sources, reference.sources)]
    if has_labels:
        results.append(shifts.check_label_shift(new.targets, reference.targets, config))
        results.append(shifts.check_unknown_labels(new.targets, reference.targets, config))
    else:
        columns.append(("targets", new.targets, reference.targets))
    for column, texts, before in columns:
        results.append(shifts.check_lengths(texts, before, column, config))
        results += check_language(texts, before, column, config)
    return results
