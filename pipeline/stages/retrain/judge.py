"""What candidate and champion say tonight, packed, to the same examples, in one run; and how fast, in turns."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.cluster.ray_train import run_workers
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.evaluation import EvaluationConfig
from pipeline.evaluation.gathered import gathered
from pipeline.export.answer import Answerer
from pipeline.runtime import request
from pipeline.runtime.answer import OnnxAnswerer
from pipeline.stages.retrain.data import Row
from pipeline.stages.training import worker_device
from pipeline.storage.sealed_json import found_json, sealed_json
from pipeline.training.collective import barrier, gather_objects, rank, world_size

FILE = "answers.json"
CANDIDATE, CHAMPION = "candidate", "champion"


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A model that is judged.

    Args:
        name: `candidate` or `champion`.
        package: its folder, where every worker finds it.
        exported: the same as graphs; none where there are none.
    """

    name: str
    package: Path
    exported: Path | None


@dataclass(frozen=True, kw_only=True)
class JudgeWork:
    """What workers are sent: who is asked, what, how often for time; and where the answers are kept."""

    contenders: Sequence[Contender]
    examples: Sequence[Row]
    num_timed: int
    num_rounds: int
    num_exported: int
    evaluation: EvaluationConfig
    cluster: ClusterConfig
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one contender said.

    Args:
        said: to every example.
        exported: what its graphs said to the first of them; none where there are no graphs.
        milliseconds: an example, of each round.
    """

    said: list[str]
    exported: list[str] | None
    milliseconds: list[float]


def run(work: JudgeWork, storage_path: Path) -> dict[str, Answers]:
    """Ask all contenders, or find what they have said.

    Returns:
        name -> its answers.
    """
    found = found_json(work.folder / FILE, "both models are asked again")
    if found is None:
        run_workers(judge, work, work.cluster, name=f"judge-{work.folder.name}", storage_path=storage_path)
        found = found_json(work.folder / FILE, "the night ends")
        assert found is not None, "workers have written it"
    return {name: Answers(**answers) for name, answers in found.items()}


def judge(work: JudgeWork) -> None:
    """Worker: answer this rank's share; rank 0 measures time alone, while the others wait."""
    device, answerers = worker_device(work.cluster), {}
    found: dict[str, dict[str, Any]] = {}
    for one in work.contenders:
        answerers[one.name] = Answerer(one.package, work.evaluation.batch_tokens, device)
        mine = range(rank(), len(work.examples), world_size())
        said = dict(zip(mine, _said(answerers[one.name], [work.examples[index] for index in mine]), strict=True))
        found[one.name] = {"said": gathered(said, len(work.examples), gather_objects), "exported": None}
    timed = work.examples[: work.num_timed]
    if rank() == 0:
        with _unheard():
            times = _in_turns(answerers, timed, work.num_rounds)
        for one in work.contenders:
            found[one.name]["milliseconds"] = times[one.name]
            if one.exported is not None and one.name == CANDIDATE:
                found[one.name]["exported"] = _said(OnnxAnswerer(one.exported), work.examples[: work.num_exported])
        sealed_json(work.folder / FILE, found)
    barrier()


@contextmanager
def _unheard() -> Iterator[None]:
    """Each of the timed answers would say again which texts are cut."""
    reader = logging.getLogger(request.__name__)
    level = reader.level
    reader.setLevel(logging.ERROR)
    try:
        yield
    finally:
        reader.setLevel(level)


def _in_turns(answerers: dict[str, Answerer], examples: Sequence[Row], num_rounds: int) -> dict[str, list[float]]:
    """Milliseconds an example, one at a time; who begins changes with the round, and the first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in answerers}
    if not examples:
        return times
    for number in range(num_rounds + 1):
        names = list(answerers) if number % 2 else list(reversed(answerers))
        for name in names:
            start = time.perf_counter()
            for row in examples:
                _said(answerers[name], [row])
            if number:
                times[name].append(1000 * (time.perf_counter() - start) / len(examples))
    return times


def _said(answerer: Answerer | OnnxAnswerer, rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    second = [row["second"] for row in rows] if rows[0].get("second") is not None else None
    return answerer.answers([row["source"] for row in rows], second)
