"""What answers come to: scores, behaviour, times and bytes of candidate and champion, for the gates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.keys import config_hash, decisions
from pipeline.config.sections.task import DecodingConfig
from pipeline.evaluation.metrics import HEADLINES, headline_each, signature
from pipeline.evaluation.scripts import num_units
from pipeline.export.package import file_bytes
from pipeline.retraining.behaviour import behaviour_of, share_of_flips
from pipeline.retraining.evidence import Evidence, Measured
from pipeline.stages.retrain.data import NightData, Row, pairs_of, references_of_rows
from pipeline.stages.retrain.judge import CANDIDATE, CHAMPION, Answers

NUM_LENGTH_SLICES = 3
LEAST_OF_A_SLICE = 30  # the mean of fewer moves by chance alone beyond any margin


def measured_of(
    config: RetrainJob, data: NightData, answers: Answers, package: Path, decoding: DecodingConfig | None
) -> Measured:
    """What one model's answers are worth.

    Args:
        config: the job.
        data: tonight's.
        answers: to the frozen set, then to the newest data.
        package: whose bytes count.
        decoding: how it generates; none: it gives labels.
    """
    num_frozen, task = len(data.frozen), config.task
    rows, tokenizer = [*data.frozen, *data.newest], task.metric_tokenizer
    references = references_of_rows(rows)
    each = headline_each(task.metric, answers.said, references, tokenizer)
    behaviour = None
    if not data.has_labels:
        sources = list(pairs_of(data.frozen).sources)
        behaviour = behaviour_of(sources, answers.said[:num_frozen], references[:num_frozen])
    return Measured(
        frozen_scores=tuple(each[:num_frozen]),
        newest_scores=tuple(each[num_frozen:]),
        num_examples=len(answers.said),
        metric=HEADLINES[task.metric],
        signature=signature(task.metric, references, tokenizer),
        decoding_digest="labels" if decoding is None else config_hash(decisions(decoding)),
        size_bytes=file_bytes(package),
        milliseconds=tuple(answers.milliseconds),
        behaviour=behaviour,
    )


def evidence_of(
    data: NightData,
    measured: Mapping[str, Measured],
    answers: Mapping[str, Answers],
    *,
    slices: Mapping[str, tuple[int, ...]],
    num_frozen_uses: int,
    recorded_score: float | None,
    days_since_promotion: float | None,
) -> Evidence:
    """Both sides together."""
    num_frozen = len(data.frozen)
    said = {name: answers[name].said[:num_frozen] for name in (CANDIDATE, CHAMPION)}
    flips = share_of_flips(said[CANDIDATE], said[CHAMPION]) if data.has_labels else None
    return Evidence(
        candidate=measured[CANDIDATE],
        champion=measured[CHAMPION],
        slices=slices,
        num_frozen_uses=num_frozen_uses,
        label_flips=flips,
        parity=parity_of(answers[CANDIDATE]),
        recorded_score=recorded_score,
        days_since_promotion=days_since_promotion,
    )


def parity_of(answers: Answers) -> float | None:
    """Share of answers on which graphs agree with the package; none: there are no graphs, or nobody asked them."""
    if not answers.exported:
        return None
    pairs = zip(answers.exported, answers.said, strict=False)  # the graphs' are the first
    return sum(one == other for one, other in pairs) / len(answers.exported)


def slices_of(rows: Sequence[Row], column: Sequence[str] | None, *, has_labels: bool) -> dict[str, tuple[int, ...]]:
    """Parts of the frozen set that are looked at by themselves: thirds by length of source, labels, values of a column.

    Args:
        rows: the frozen set.
        column: a value of each; none: no column was named.
        has_labels: whether targets are labels.
    """
    found: dict[str, list[int]] = defaultdict(list)
    by_length = sorted(range(len(rows)), key=lambda index: (num_units(rows[index]["source"]), index))
    names = ("short sources", "middle sources", "long sources")
    for number, name in enumerate(names):
        part = slice(number * len(rows) // NUM_LENGTH_SLICES, (number + 1) * len(rows) // NUM_LENGTH_SLICES)
        found[name] = sorted(by_length[part])
    for index, row in enumerate(rows):
        if has_labels:
            found[f"label {row['target']}"].append(index)
        if column is not None:
            found[f"column {column[index]}"].append(index)
    return {name: tuple(indices) for name, indices in found.items() if len(indices) >= LEAST_OF_A_SLICE}
