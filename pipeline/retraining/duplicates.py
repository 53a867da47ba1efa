"""Examples that occur again, and sources whose targets contradict each other."""

from __future__ import annotations

from collections import defaultdict

from pipeline.config.sections.data_checks import DataChecksConfig
from pipeline.retraining.check_result import CheckResult, at_most
from pipeline.retraining.pairs import Pairs, normalised


def check_duplicates(pairs: Pairs, config: DataChecksConfig) -> CheckResult:
    """Few examples may repeat another letter by letter."""
    num_repeated = len(pairs) - len(set(zip(pairs.sources, pairs.targets, strict=True)))
    share = num_repeated / max(1, len(pairs))
    sentence = f"{num_repeated:,} of {len(pairs):,} examples ({share:.2%}) repeat another."
    return at_most("duplicates", share, config.max_duplicates, sentence)


def check_contradictions(pairs: Pairs, config: DataChecksConfig) -> CheckResult:
    """Classification: few examples may have a source that has another label elsewhere."""
    found = _targets_by_source(pairs)
    share = sum(len(targets) for targets in found.values() if len(set(targets)) > 1) / max(1, len(pairs))
    sentence = f"{share:.2%} of examples have a source that has another label, too."
    return at_most("contradicting labels", share, config.max_contradictions, sentence)


def check_targets_per_source(pairs: Pairs, config: DataChecksConfig) -> CheckResult:
    """Texts: no source may have very many targets; several translations of a sentence are ordinary."""
    most = max((len(set(targets)) for targets in _targets_by_source(pairs).values()), default=0)
    sentence = f"The source with most targets has {most:,} distinct ones."
    return at_most("targets of a source", most, config.max_targets_per_source, sentence)


def _targets_by_source(pairs: Pairs) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for source, target in zip(pairs.sources, pairs.targets, strict=True):
        found[normalised(source)].append(target)
    return found
