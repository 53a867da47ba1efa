"""The teacher as Agora asks it: every answer is kept, and every text that it was asked about counts once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.augmentation.examples import TextExample
from pipeline.stages.agora.answers import Answers, answers_of
from pipeline.stages.agora.plan import AgoraPlan
from pipeline.stages.teacher.finished import TeacherResult


class AskedTeacher:
    """What the teacher says, and how often it was asked.

    Args:
        plan: what is decided.
        result: the fine-tuned teacher.
    """

    def __init__(self, plan: AgoraPlan, result: TeacherResult) -> None:
        self.plan, self.result = plan, result
        self._asked: set[str] = set()

    def answers(self, examples: Sequence[TextExample]) -> Answers:
        """What it says of texts, how sure it is, where they lie."""
        self._asked |= {one.id for one in examples}
        return answers_of(self.plan, Path(self.result.folder), self.result.key, examples, is_teacher=True)

    @property
    def num_calls(self) -> int:
        """Different texts that it was asked about, whether for a label, a confidence or a distance."""
        return len(self._asked)
