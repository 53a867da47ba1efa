"""Simulated nights of jobs/retrain.py over the embedded docstrings, each one a process, as schedulers start them.

    python infra/nights.py FOLDER [key=value ...]

A first champion learns from a few of the training examples. Then: nothing new; all of them; a file whose new targets
have slipped by one line; a student too small to be as good; the way back. Prints the ledger and, as its last line, the
decisions. Ends with 0 if each is the one that is expected, else with 1.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SEED = 28
FIRST = 0.08  # part of the training examples that the first night has: too few to be good
SECOND = 0.9  # and the second; the rest are new, and wrong, in the third


@dataclass(frozen=True, kw_only=True)
class Night:
    """One call of the job.

    Args:
        what: happens, for people.
        expected: decision.
        rows: training examples that lie there tonight; none: those of the night before.
        settings: beside the experiment's.
    """

    what: str
    expected: str
    rows: Sequence[dict[str, Any]] | None = None
    settings: list[str] = field(default_factory=list)


def main(arguments: list[str]) -> int:
    """See the module's docstring."""
    if not arguments or "=" in arguments[0]:
        print(__doc__, file=sys.stderr)
        return 2
    folder, settings = Path(arguments[0]).absolute(), arguments[1:]
    from pipeline.data.docstrings import docstring_examples

    splits = docstring_examples()
    write(folder / "data", {name: splits[name] for name in ("validation", "test")})
    train = splits["train"]
    random.Random(SEED).shuffle(train)  # they come package by package: all nights shall be of one kind
    found = [carry_out(folder, night, settings) for night in nights(train)]
    print(
        (folder / "runs" / "retrain" / "nights" / "report" / "results.md").read_text(encoding="utf-8").split("\n## ")[1]
    )
    champion = found[-1]["champion"]
    print(
        json.dumps(
            {"nights": [{"decision": one["decision"], "what": one["what"]} for one in found], "champion": champion}
        )
    )
    return 0 if all(one["decision"] == one["expected"] for one in found) else 1


def nights(train: Sequence[dict[str, Any]]) -> list[Night]:
    """What happens, night by night."""
    first, second = (train[: int(part * len(train))] for part in (FIRST, SECOND))
    rest = train[len(second) :]
    slipped = [{**row, "target": other["target"]} for row, other in zip(rest, [*rest[1:], rest[0]], strict=True)]
    small = ["sweep.students=[{scheme: 2-2-8, depth: 1-1}]"]
    return [
        Night(what="the first champion", expected="PROMOTED", rows=first),
        Night(what="nothing new", expected="NO_CHANGE"),
        Night(what="more data", expected="PROMOTED", rows=second),
        Night(what="new targets slipped by a line", expected="REFUSED", rows=[*second, *slipped]),
        Night(what="a student too small", expected="KEPT", rows=train, settings=small),
        Night(what="the way back", expected="PROMOTED", settings=["rollback=true"]),
    ]


def carry_out(folder: Path, night: Night, settings: Sequence[str]) -> dict[str, Any]:
    """Call the job as a scheduler does; its last line, and what was expected."""
    if night.rows is not None:
        write(folder / "data", {"train": night.rows})
    command = [sys.executable, "jobs/retrain.py", "experiment=nights", f"data.root={folder / 'data'}"]
    command += [f"storage.path={folder / 'runs'}", *settings, *night.settings]
    print(f"nights.py: {night.what} ...", file=sys.stderr, flush=True)
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    lines = done.stdout.decode().strip().splitlines()
    document: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    decision = document.get("decision", f"no decision, exit code {done.returncode}")
    print(
        f"nights.py: {night.what}: {decision} ({'; '.join(document.get('reasons', []))})", file=sys.stderr, flush=True
    )
    return {"what": night.what, "expected": night.expected, "decision": decision, "champion": document.get("champion")}


def write(folder: Path, splits: dict[str, Sequence[dict[str, Any]]]) -> None:
    """A file of JSON lines for each split."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in splits.items():
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
