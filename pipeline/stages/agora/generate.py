"""The generator of Agora: new texts near points, by ways that need words alone or models, too."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.augmentation.examples import Origin, TextExample
from pipeline.augmentation.generators.text_generator import TextGenerator
from pipeline.cluster.ray_train import run_workers
from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.config.keys import config_hash
from pipeline.config.sections.agora import REPEAT, TEXT_GENERATORS
from pipeline.stages.agora.plan import AgoraPlan, digest_of
from pipeline.stages.agora.rewriters import rewriter
from pipeline.stages.training import worker_device
from pipeline.storage.atomic import atomic_json, atomic_text
from pipeline.storage.sealed import is_whole, sealed_folder
from pipeline.training.collective import barrier, rank

GENERATED, COUNTS = "generated.jsonl", "counts.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class GenerateWork:
    """What generates texts, here or in workers.

    Args:
        config: the job.
        round_number: the round.
        points: that texts shall be near to.
        known: ids of texts that are there already.
        folder: where texts are to lie.
    """

    config: AgoraJob
    round_number: int
    points: list[TextExample]
    known: frozenset[str]
    folder: Path


class PointGenerator:
    """See `augmentation.agora.Generator`. What a round has generated once is found.

    Args:
        plan: what is decided.
        known: ids of texts that are not to come out: those of all splits.
    """

    def __init__(self, plan: AgoraPlan, known: frozenset[str]) -> None:
        self.plan, self.known = plan, set(known)
        self._repeated = set[str]()  # ids of points that were added as they are

    def __call__(self, round_number: int, points: Sequence[TextExample]) -> list[TextExample]:
        """New texts near the points, or the points themselves."""
        config = self.plan.job.config
        if config.agora.generators == [REPEAT]:
            fresh = list({point.id: point for point in points if point.id not in self._repeated}.values())
            self._repeated |= {point.id for point in fresh}
            return [_repeated(point, round_number) for point in fresh]
        folder = self.plan.round_folder(round_number)
        parts = (digest_of(points), config_hash(sorted(self.known)))
        work = GenerateWork(
            config=config,
            round_number=round_number,
            points=list(points),
            known=frozenset(self.known),
            folder=folder / config_hash(*parts),
        )
        if not is_whole(work.folder, "its texts are generated again"):
            if set(config.agora.generators) <= set(TEXT_GENERATORS):
                write_generated(work)
            else:
                name = f"generate-{self.plan.key}-{round_number}"
                run_workers(
                    write_generated, work, config.cluster, name=name, storage_path=self.plan.job.storage.root / "ray"
                )
        found = read_examples(work.folder / GENERATED)
        self.known |= {example.id for example in found}
        counts = json.loads((work.folder / COUNTS).read_text(encoding="utf-8"))
        shown = ", ".join(f"{name} {one['made']} of {one['asked']}" for name, one in counts.items())
        log.info(f"round {round_number}: {len(found)} texts generated near {len(points)} points ({shown})")
        return sorted(found, key=lambda example: example.id)  # what a budget cuts off is of all generators alike


def write_generated(work: GenerateWork) -> None:
    """Worker: every rank generates the same; models answer its share of what they are asked."""
    agora, config = work.config.agora, work.config
    generator = TextGenerator(
        [rewriter(name, agora, worker_device(config.cluster)) for name in agora.generators],
        num_per_point=agora.num_per_point,
        seed=config.seed,
        known=work.known,
    )
    generation = generator.generate(work.round_number, work.points)
    if rank() == 0:
        counts = {name: asdict(one) for name, one in generation.counts.items()}
        with sealed_folder(work.folder) as partial:
            atomic_json(partial / COUNTS, counts)
            write_examples(partial / GENERATED, generation.children)
    barrier()


def write_examples(path: Path, examples: Sequence[TextExample]) -> None:
    """Examples with their origins, a line each, for the next submission and for people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(asdict(example), ensure_ascii=False) for example in examples)
    atomic_text(path, "".join(f"{line}\n" for line in lines))


def read_examples(path: Path) -> list[TextExample]:
    """What `write_examples` wrote."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    origins = [None if row["origin"] is None else Origin(**row.pop("origin")) for row in rows]
    return [TextExample(**{**row, "origin": origin}) for row, origin in zip(rows, origins, strict=True)]


def _repeated(point: TextExample, round_number: int) -> TextExample:
    """A point as an example of its own round."""
    origin = Origin(
        generator=REPEAT,
        round_number=round_number,
        parent_id=point.id,
        parent_source=point.source,
        parent_second=point.second,
        parent_target=point.target,
    )
    return TextExample(source=point.source, second=point.second, origin=origin)
