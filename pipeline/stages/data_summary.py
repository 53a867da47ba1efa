"""What the data are, said before anything is trained on them: splits, lengths, cuts, labels, two examples."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from pipeline.config.sections.task import TaskConfig
from pipeline.console.tables import text_table
from pipeline.data.labels import look_alikes
from pipeline.data.split_paths import SPLITS
from pipeline.data.tokenise import TokenisedSplit
from pipeline.stages.prepare_data import PreparedTask

MANY_CUT = 0.1  # share of cut texts above which a warning is due
SHOWN_EXAMPLES, SHOWN_CHARACTERS, SHOWN_LABELS = 2, 200, 12


@dataclass(frozen=True, kw_only=True)
class SideSummary:
    """Sources or targets of a split: tokens as they were given, and how many lost their end."""

    mean_tokens: float
    longest_tokens: int
    num_cut: int

    @classmethod
    def of(cls, lengths: Sequence[int], num_cut: int) -> SideSummary:
        """The summary of so many tokens in every text."""
        return cls(mean_tokens=round(statistics.fmean(lengths), 1), longest_tokens=max(lengths), num_cut=num_cut)


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """One split; of a classification task it has labels instead of targets."""

    origin: str
    num_examples: int
    sources: SideSummary
    targets: SideSummary | None
    references: float | None  # mean number of an example, where they are scored
    labels: dict[str, int]  # -> number of examples, the most frequent first


def summarise(task: PreparedTask) -> dict[str, SplitSummary]:
    """Every split of a prepared task."""
    return {name: _summary(task.split(name), task.origins.get(name, ""), bool(task.labels)) for name in SPLITS}


def described(task: PreparedTask, settings: TaskConfig) -> str:
    """What is printed: a table of the splits, labels with shares, rows as a model will see them, warnings."""
    splits = summarise(task)
    parts = [f"data {task.fingerprint}\n\n{text_table(_table(splits))}"]
    if task.labels:
        parts += ["\n".join(f"labels of {name}: {_shares(split.labels)}" for name, split in splits.items())]
    shown = ("source", "second") if settings.facts.target_is_source else ("source", "second", "target")
    parts += ["\n\n".join(_shown_examples(task.split("train"), shown))]
    parts += _warnings(splits, task.labels, settings)
    return "\n\n".join(parts)


def as_document(task: PreparedTask) -> dict[str, Any]:
    """The same for the JSON document of a job, without texts, and with the most frequent labels alone."""
    splits = {name: asdict(split) for name, split in summarise(task).items()}
    for split in splits.values():
        split["labels"] = dict(islice(split["labels"].items(), SHOWN_LABELS))
    return {"fingerprint": task.fingerprint, "num_labels": len(task.labels), "splits": splits}


def _summary(split: TokenisedSplit, origin: str, classifies: bool) -> SplitSummary:
    rows = split.examples
    targets = None if classifies else SideSummary.of(rows["uncut_target_tokens"][:], split.num_cut_targets)
    has_references = "references" in rows.column_names and not classifies
    return SplitSummary(
        origin=origin,
        num_examples=len(rows),
        sources=SideSummary.of(rows["uncut_source_tokens"][:], split.num_cut_sources),
        targets=targets,
        references=round(statistics.fmean(map(len, rows["references"])), 2) if has_references else None,
        labels=dict(Counter(rows["target"][:]).most_common()) if classifies else {},
    )


def _table(splits: dict[str, SplitSummary]) -> list[list[str]]:
    """Header and a line a split: tokens are means and largest numbers before cuts."""
    sides = [f"{side} {what}" for side in ("source", "target") for what in ("tokens (mean)", "(longest)", "cut")]
    lines = [["split", "examples", *sides, "references (mean)", "from"]]
    for name, split in splits.items():
        cells = [cell for side in (split.sources, split.targets) for cell in _cells(side, split.num_examples)]
        references = "-" if split.references is None else f"{split.references:g}"
        lines.append([name, f"{split.num_examples:,}", *cells, references, split.origin])
    kept = [i for i in range(len(lines[0])) if i < 2 or any(line[i] not in ("-", "") for line in lines[1:])]
    return [[line[i] for i in kept] for line in lines]


def _cells(side: SideSummary | None, num_examples: int) -> list[str]:
    if side is None:
        return ["-", "-", "-"]
    cut = f"{side.num_cut:,} of {num_examples:,} ({_percent(side.num_cut, num_examples)})"
    return [f"{side.mean_tokens:,}", f"{side.longest_tokens:,}", cut]


def _percent(number: int, total: int) -> str:
    share = 100 * number / total
    return f"{share:.0f} %" if share in (0, 100) or 1 <= share < 99.5 else f"{share:.2g} %" if share < 1 else ">99 %"


def _shares(labels: dict[str, int]) -> str:
    total = sum(labels.values())
    shown = [f"{_shown_label(label)} {_percent(number, total)} ({number:,})" for label, number in labels.items()]
    more = f", and {len(shown) - SHOWN_LABELS} more" if len(shown) > SHOWN_LABELS else ""
    return ", ".join(shown[:SHOWN_LABELS]) + more


def _shown_label(label: str) -> str:
    """A label as it is read in a list: in quotes where blanks that nobody sees are part of it."""
    return label if label == _shown(label) else _shown(ascii(label))


def _shown_examples(split: TokenisedSplit, shown: Sequence[str]) -> list[str]:
    rows = split.examples.select(range(min(SHOWN_EXAMPLES, len(split.examples))))
    columns = [name for name in shown if name in rows.column_names]
    return [
        "\n".join([f"example {number} of train", *(f"  {name}: {_shown(row[name])}" for name in columns)])
        for number, row in enumerate(rows.select_columns(columns), 1)
    ]


def _shown(text: str) -> str:
    """A text on one line of a terminal, whatever is in it."""
    flat = " ".join(text.split())
    visible = "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in flat[:SHOWN_CHARACTERS])
    return f"{visible} ... ({len(text):,} characters)" if len(flat) > SHOWN_CHARACTERS else visible


def _warnings(splits: dict[str, SplitSummary], labels: Sequence[str], settings: TaskConfig) -> list[str]:
    limits = {"sources": settings.max_source_tokens, "targets": settings.max_target_tokens}
    warnings = [
        f"warning: {side.num_cut:,} of {split.num_examples:,} {what} ({_percent(side.num_cut, split.num_examples)}) of "
        f"split '{name}' lose their end: task.max_{what[:-1]}_tokens={limits[what]}, the longest has "
        f"{side.longest_tokens:,}"
        for name, split in splits.items()
        for what, side in (("sources", split.sources), ("targets", split.targets))
        if side is not None and side.num_cut > MANY_CUT * split.num_examples
    ]
    if not settings.labels:  # else they are meant
        warnings += [
            f"warning: the labels {', '.join(map(ascii, group))} look alike and are learned as {len(group)} labels: "
            "mend the data if they are one"
            for group in look_alikes(labels)
        ]
    return ["\n".join(warnings)] if warnings else []
