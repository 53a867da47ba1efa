"""Which student of one sweep is which of another."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.tracking.tracker import FoundRun


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One student in two sweeps.

    Args:
        name: what it is called where it has its seed in its name.
        group: what it is called without.
        first: its run in the first sweep.
        second: its run in the second.
    """

    name: str
    group: str
    first: FoundRun
    second: FoundRun


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A run that cannot be compared, and why."""

    name: str
    run_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Matched:
    """The students of two sweeps: those of both, those that only one has, those that are left out."""

    pairs: list[Pair]
    only_first: list[FoundRun]
    only_second: list[FoundRun]
    left_out: list[LeftOut]


def match_students(first: list[FoundRun], second: list[FoundRun]) -> Matched:
    """Match the finished students of two sweeps, the newest first in each, by name.

    Where one sweep has a student without a seed in its name and the other has it with several, it is matched with each
    of them.
    """
    left_out: list[LeftOut] = []
    sides = [_by_group(runs, left_out) for runs in (first, second)]
    pairs: list[Pair] = []
    only: tuple[list[FoundRun], list[FoundRun]] = ([], [])
    for group in sorted({*sides[0], *sides[1]}):
        mine, theirs = (side.get(group, {}) for side in sides)
        if set(mine) == {group} and theirs and group not in theirs:
            mine = dict.fromkeys(theirs, mine[group])
        elif set(theirs) == {group} and mine and group not in mine:
            theirs = dict.fromkeys(mine, theirs[group])
        for name in sorted({*mine, *theirs}, key=lambda name: (len(name), name)):
            if name in mine and name in theirs:
                pairs.append(Pair(name=name, group=group, first=mine[name], second=theirs[name]))
            elif name in mine:
                only[0].append(mine[name])
            else:
                only[1].append(theirs[name])
    return Matched(pairs=pairs, only_first=only[0], only_second=only[1], left_out=left_out)


def _by_group(runs: list[FoundRun], left_out: list[LeftOut]) -> dict[str, dict[str, FoundRun]]:
    """Group without what tells equal names apart -> name -> run."""
    groups: dict[str, dict[str, FoundRun]] = {}
    for found in runs:
        names = groups.setdefault(found.tags.get("dq.group", found.name).partition("#")[0], {})
        if not found.finished:
            reason = f"{found.status}: {found.tags['dq.failure']}" if "dq.failure" in found.tags else found.status
            reason = found.stopped or reason
        elif found.name in names:
            reason = "an older student of the same name"
        else:
            names[found.name] = found
            continue
        left_out.append(LeftOut(name=found.name, run_id=found.run_id, reason=reason))
    return groups
