"""The labels of a classification task."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import normalize

from pipeline.config.errors import Mistakes, UserError, listed
from pipeline.config.sections.task import TaskConfig
from pipeline.data.corpora import Corpus


def labels_of(corpus: Corpus, task: TaskConfig) -> list[str]:
    """The labels of a task in their order; none where targets are texts.

    Raises:
        UserError: fewer than two labels, or one in a split that is not among them.
    """
    if not task.facts.has_labels:
        return []
    labels = task.labels or sorted(set(corpus.splits["train"]["target"][:]))
    if len(labels) < 2:
        raise UserError(
            f"the label '{labels[0]}' alone in the training split", "at least two", "check task.corpus.target_column"
        )
    mistakes = Mistakes()
    for name, split in corpus.splits.items():
        if odd := sorted(set(split["target"][:]) - set(labels)):
            error = UserError(
                f"label '{odd[0]}' in split '{name}' of task '{task.name}'",
                f"one of {listed(labels)}",
                "mend the data, or name all labels in task.labels",
            )
            mistakes.add(error)
    mistakes.tell()
    return labels


def look_alikes(labels: Sequence[str]) -> list[list[str]]:
    """Labels that differ in capitals, blanks or in how Unicode writes their letters, and are most likely one."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(" ".join(normalize("NFKC", label).casefold().split()), []).append(label)
    return [group for group in groups.values() if len(group) > 1]
