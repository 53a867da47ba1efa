"""Arguments in, a table of faults and what became of them out; exit code 1 where a promise was broken."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from chaos.fault import ABSENT, BROKEN, OUTCOMES, AbsentError, BrokenError, Case, Fault
from chaos.faults import KINDS
from chaos.process import kill_all
from chaos.scene import References, Scene


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        0: every promise was kept; 1: one was broken.
    """
    options = parser().parse_args(arguments)
    if options.list:
        print("\n".join(f"{kind.name}: {', '.join(kind.moments)}" for kind in KINDS))
        return 0
    wanted = [kind for kind in KINDS if not options.fault or kind.name in options.fault]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an interrupt
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        cases = tried(wanted, Path(folder), options.moment, short=options.short, num_processes=options.processes)
    print("\n".join([*table(wanted, cases), *broken(cases)]))
    if options.out is not None:
        options.out.write_text(json.dumps([asdict(case) for case in cases], indent=1))
    return int(any(case.outcome == BROKEN for case in cases))


def parser() -> argparse.ArgumentParser:
    """The arguments that it takes."""
    known = argparse.ArgumentParser(prog="python tests/chaos", description=__doc__)
    names = [kind.name for kind in KINDS]
    known.add_argument("--fault", action="append", choices=names, metavar="KIND", help="one kind; may be said again")
    known.add_argument("--moment", help="this one of its moments alone")
    known.add_argument("--short", action="store_true", help="the short set: a moment each of some kinds")
    known.add_argument("--list", action="store_true", help="kinds and moments, and nothing else")
    known.add_argument("--processes", type=int, default=2, help="cases side by side (default: %(default)s)")
    known.add_argument("--out", type=Path, metavar="FILE", help="all cases as JSON")
    return known


def tried(
    kinds: Sequence[Fault], folder: Path, moment: str | None = None, *, short: bool = False, num_processes: int = 1
) -> list[Case]:
    """Every case of some kinds, each in a scene of its own that goes afterwards."""
    references = References(folder / "undisturbed")
    asked = [
        (kind, one)
        for kind in kinds
        for one in ([kind.short] if short else kind.moments)
        if one is not None and moment in (None, one)
    ]

    def case(number: int) -> Case:
        kind, one = asked[number]
        found = happened(kind, one, Scene(folder / f"case-{number}", references))
        print(
            f"{found.fault}, {found.moment}: {found.outcome} ({found.seconds:.0f} s) {found.detail}",
            file=sys.stderr,
            flush=True,
        )
        return found

    with ThreadPoolExecutor(num_processes) as threads:
        ending = [threads.submit(case, number) for number in range(len(asked))]
        try:
            return [one.result() for one in ending]
        except BaseException:  # an interrupt: no job outlives it
            threads.shutdown(wait=False, cancel_futures=True)
            kill_all()
            raise


def happened(kind: Fault, moment: str, scene: Scene) -> Case:
    """One case; whatever goes wrong in it is its outcome."""
    start = time.monotonic()
    try:
        outcome, detail = kind.inject(scene, moment), ""
    except AbsentError as error:
        outcome, detail = ABSENT, str(error)
    except BrokenError as error:
        outcome, detail = BROKEN, str(error)
    except Exception:  # of the scenario itself: told, or it would pass for a case that went well
        outcome, detail = BROKEN, traceback.format_exc()
    scene.leave()
    return Case(fault=kind.name, moment=moment, outcome=outcome, detail=detail, seconds=time.monotonic() - start)


def table(kinds: Sequence[Fault], cases: Sequence[Case]) -> list[str]:
    """A line for every kind."""
    width = max(len(kind.name) for kind in kinds)
    lines = [f"{'fault':{width}} {'cases':>6}" + "".join(f"{name:>9}" for name in OUTCOMES) + "  how"]
    for kind in kinds:
        counts = Counter(case.outcome for case in cases if case.fault == kind.name)
        if counts:
            numbers = "".join(f"{counts[name] or '':>9}" for name in OUTCOMES)
            lines.append(f"{kind.name:{width}} {counts.total():6}{numbers}  {kind.how}")
    return lines


def broken(cases: Sequence[Case]) -> list[str]:
    """What did not go as promised, and what could not be tried."""
    told = [case for case in cases if case.outcome in (BROKEN, ABSENT)]
    return [f"{case.outcome}: {case.fault}, {case.moment}: {case.detail}" for case in told]
