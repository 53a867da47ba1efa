"""What the objectives of tasks are: the one place that tells them apart.

Everything else asks for a fact of `TaskConfig.facts`, never for a name, so a further objective is a further entry here.
The table lies beside the settings because its names are what `task.objective` allows and its facts what
`task.metric`, `task.labels` and the columns are held to; nothing of it needs more than the settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Kinds of models as messages call them; `models.starting_point` knows which families can be which.
ModelKind = Literal["seq2seq", "classifier", "masked LM"]
# Names of noises in `data.noise` that settings tell apart.
MASKING, WORD_MASKING = "masking", "word_masking"


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What an objective means for data, models and scores; every entry says all of it.

    Args:
        meaning: what is learned from what, for `--help`.
        model: the kind of model that learns it.
        target_is_source: whether the source itself is the target; else it is a column of the data.
        has_labels: whether the target is one of a few labels instead of a text.
        keeps_pairs: whether a second text stays apart, for models that read pairs; else it is a line of the source.
        noise: how examples are noised anew in every epoch, by its name in `data.noise`; none leaves them as they are.
        is_validated_noised: whether validation examples are noised, too, always in the same way; else they stay whole.
        generates: whether a model is asked for texts.
        has_references: whether what a model says is compared with targets; else the validation loss is its headline.
        metrics: what `task.metric` may be; of them come headline, columns and the trivial baseline, where there are
            references.
        has_students: whether it can be the objective of a sweep; else of a teacher alone.
    """

    meaning: str
    model: ModelKind
    target_is_source: bool
    has_labels: bool
    keeps_pairs: bool
    noise: str | None
    is_validated_noised: bool
    generates: bool
    has_references: bool
    metrics: tuple[str, ...]
    has_students: bool

    @property
    def has_decoder(self) -> bool:
        """Whether the model has one: then targets have lengths and positions, and students losses of decoder layers."""
        return self.model == "seq2seq"


OBJECTIVES = {
    "supervised": Objective(
        meaning="source -> target",
        model="seq2seq",
        target_is_source=False,
        has_labels=False,
        keeps_pairs=False,
        noise=None,
        is_validated_noised=False,
        generates=True,
        has_references=True,
        metrics=("rouge", "bleu"),
        has_students=True,
    ),
    "denoising": Objective(
        meaning="noised source -> the source itself (BART pre-training)",
        model="seq2seq",
        target_is_source=True,
        has_labels=False,
        keeps_pairs=False,
        noise="infilling",
        is_validated_noised=False,
        generates=False,
        has_references=False,
        metrics=("rouge", "bleu"),
        has_students=False,
    ),
    "masked_lm": Objective(
        meaning="source with masked tokens -> those tokens (pre-training of BERT, RoBERTa)",
        model="masked LM",
        target_is_source=True,
        has_labels=False,
        keeps_pairs=False,
        noise=MASKING,
        is_validated_noised=True,
        generates=False,
        has_references=False,
        metrics=("rouge", "bleu"),
        has_students=False,
    ),
    "classification": Objective(
        meaning="source, or a pair of texts -> label (BERT, RoBERTa)",
        model="classifier",
        target_is_source=False,
        has_labels=True,
        keeps_pairs=True,
        noise=None,
        is_validated_noised=False,
        generates=False,
        has_references=True,
        metrics=("accuracy",),
        has_students=True,
    ),
}
