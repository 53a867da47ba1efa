"""The labeller of Agora: what the teacher says of new texts, and which of these are neither too near nor too far."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.augmentation.bounds import Bounded, Bounds, within
from pipeline.augmentation.distances import distances, origin_of, quantiles
from pipeline.augmentation.examples import TextExample, Texts
from pipeline.config.sections.agora import REPEAT, BoundsConfig
from pipeline.stages.agora.labeller_calls import AskedTeacher
from pipeline.stages.agora.plan import AgoraPlan
from pipeline.storage.atomic import atomic_json, atomic_text

DISTANCES = "distances.jsonl"
QUANTILES = "quantiles.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Said:
    """What the teacher says of one text, how sure it is, where the text lies."""

    text: str
    confidence: float
    state: NDArray[np.float32]


class TeacherLabeller:
    """See `augmentation.agora.Labeller`.

    Args:
        plan: what is decided.
        teacher: the labeller.
    """

    def __init__(self, plan: AgoraPlan, teacher: AskedTeacher) -> None:
        self.plan, self.teacher, self.agora = plan, teacher, plan.job.config.agora
        self.num_labelled = 0  # texts whose label is the teacher's

    def __call__(self, round_number: int, points: Sequence[TextExample]) -> list[TextExample]:
        """The points within the bounds, with labels; a text that the teacher answers with nothing is left out."""
        said = self._ask(points)
        if self.agora.labels == "parent":
            labelled = [replace(one, target=one.origin.parent_target) for one in points if one.origin is not None]
        else:
            self.num_labelled += len(points)
            labelled = [replace(one, target=said[one.texts].text) for one in points]
        labelled = [one for one in labelled if one.target and one.target.strip()]
        if self.agora.generators == [REPEAT]:  # at no distance from themselves
            return labelled
        far = distances(
            labelled,
            embed=lambda texts: np.stack([said[one].state for one in texts]),
            confidences=[said[one.texts].confidence for one in labelled],
        )
        found = within(far, bounds_of(self.agora.bounds))
        self._write(round_number, found)
        log.info(f"round {round_number}: {len(found.kept)} of {len(points)} texts are within the bounds")
        return [one.example for one in found.kept]

    def _ask(self, points: Sequence[TextExample]) -> dict[Texts, _Said]:
        """What the teacher says of texts and of those they come from; nothing where nobody needs it."""
        if self.agora.generators == [REPEAT] and self.agora.labels == "parent":
            return {}
        texts = [one.texts for one in points]
        if self.agora.generators != [REPEAT]:
            texts += [one.origin.parent_texts for one in points if one.origin is not None]
        unique = [TextExample(source=one.source, second=one.second) for one in dict.fromkeys(texts)]
        answers = self.teacher.answers(unique)
        rows = zip(unique, answers.texts, answers.confidences, answers.states, strict=True)
        return {one.texts: _Said(text=text, confidence=sure, state=state) for one, text, sure, state in rows}

    def _write(self, round_number: int, found: Bounded) -> None:
        """For people: every text with its distances and why it was refused; quantiles of each generator."""
        folder = self.plan.round_folder(round_number)
        judged = [*((one, ()) for one in found.kept), *((one.row, one.reasons) for one in found.refused)]
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for one, reasons in judged:
            origin, example = origin_of(one.example), one.example
            texts = {"parent": origin.parent_source, "source": example.source, "target": example.target}
            if example.second is not None:
                texts |= {"parent_second": origin.parent_second, "second": example.second}
            rows.append({**texts, "generator": origin.generator, **one.measures, "refused": list(reasons)})
        atomic_text(folder / DISTANCES, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
        atomic_json(folder / QUANTILES, {"refused": found.counts, "quantiles": quantiles([one for one, _ in judged])})


def bounds_of(settings: BoundsConfig) -> dict[str, Bounds]:
    """Measure -> from where to where it is accepted."""
    return {
        "edit": Bounds(min=settings.min_edit, max=settings.max_edit),
        "embedding": Bounds(min=settings.min_embedding, max=settings.max_embedding),
        "confidence": Bounds(min=settings.min_confidence, max=1.0),
    }
