"""Arguments in, a table and the kinds of faults out; exit code 1 where there are faults."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from fuzz.case import FAULTS, OUTCOMES, Result, Subject
from fuzz.pool import prepared, results
from fuzz.worker import Limits

SUBJECTS = ("packages", "exports", "zips", "configurations", "corpora", "requests", "checkpoints")
HIDDEN = ("itself",)  # tests the fuzz
NUM_CASES, SEED = 10_000, 28


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        0: nothing but refusals and right answers; 1: tracebacks, hangs or other answers.
    """
    options = parser().parse_args(arguments)
    names = options.subject or list(SUBJECTS)
    if options.case is not None and len(names) != 1:
        parser().error("--case is one of a single subject: name it with --subject")
    surround()
    subjects = [subject_named(name) for name in names]
    limits = Limits(seconds=options.seconds)
    if options.case is not None:
        return show_case(subjects[0], options.case, options.seed, limits)
    found: list[Result] = []
    for index, subject in enumerate(subjects):
        numbers = range(len(range(index, options.cases, len(subjects))))
        start, good = time.monotonic(), prepared(subject)
        ended = results(subject, good, numbers, seed=options.seed, limits=limits, num_processes=options.processes)
        of_subject = sorted(ended, key=lambda result: result.number)
        print(f"{subject.name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        found += of_subject
    print("\n".join([f"seed {options.seed}", *table(found), "", *kinds(found, options.seed)]))
    if options.out is not None:
        kept = [asdict(result) for result in found if options.all or result.outcome in FAULTS]
        counts = {name: dict(counted(found, name)) for name in names}
        options.out.write_text(json.dumps({"seed": options.seed, "counts": counts, "cases": kept}, indent=1))
    return int(any(result.outcome in FAULTS for result in found))


def parser() -> argparse.ArgumentParser:
    """The arguments that it takes."""
    known = argparse.ArgumentParser(prog="python tests/fuzz", description=__doc__)
    known.add_argument(
        "--subject", action="append", choices=(*SUBJECTS, *HIDDEN), help="one of them; may be said again (default: all)"
    )
    known.add_argument("--cases", type=int, default=NUM_CASES, help="of all subjects together (default: %(default)s)")
    known.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    known.add_argument("--case", type=int, metavar="N", help="show this case of one subject, and nothing else")
    known.add_argument("--processes", type=int, default=2, help="default: %(default)s")
    known.add_argument("--seconds", type=float, default=10.0, help="of a case, on a processor (default: %(default)s)")
    known.add_argument("--out", type=Path, metavar="FILE", help="counts and faults as JSON")
    known.add_argument("--all", action="store_true", help="all cases into that file")
    return known


def surround() -> None:
    """What libraries read when they are imported: one thread, no network, no questions."""
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


def subject_named(name: str) -> Subject:
    """A subject; what it reads with is imported by it."""
    subject: Subject = importlib.import_module(f"fuzz.subjects.{name}").SUBJECT
    return subject


def show_case(subject: Subject, number: int, seed: int, limits: Limits) -> int:
    """One case in a process of its own, with everything that is known of it."""
    [result] = results(subject, prepared(subject), [number], seed=seed, limits=limits, num_processes=1)
    print(f"{subject.name} {number} of seed {seed}: {result.change}\n{result.outcome} {result.kind}\n{result.detail}")
    return int(result.outcome in FAULTS)


def counted(found: Iterable[Result], name: str) -> Counter[str]:
    """How often each outcome came of a subject."""
    return Counter(result.outcome for result in found if result.subject == name)


def table(found: list[Result]) -> list[str]:
    """A line for every subject."""
    lines = [f"{'subject':15} {'cases':>7}" + "".join(f"{name:>11}" for name in OUTCOMES)]
    for name in dict.fromkeys(result.subject for result in found):
        counts = counted(found, name)
        lines.append(f"{name:15} {counts.total():7}" + "".join(f"{counts[outcome]:11}" for outcome in OUTCOMES))
    return lines


def kinds(found: list[Result], seed: int) -> list[str]:
    """Faults of one kind together, the most frequent first, with the first case of each."""
    lines = []
    faults = [result for result in found if result.outcome in FAULTS]
    by_kind = Counter((result.subject, result.kind) for result in faults)
    for (name, kind), count in by_kind.most_common():
        first = next(result for result in faults if (result.subject, result.kind) == (name, kind))
        last = (first.detail.strip().splitlines() or [""])[-1]
        lines.append(f"{count:5} {name}: {kind}")
        lines.append(f"      --subject {name} --seed {seed} --case {first.number}: {first.change[:160]}")
        lines.append(f"      {last[:200]}")
    return lines
