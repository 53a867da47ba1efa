"""What was measured tonight of the candidate and of the champion, before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.retraining.behaviour import Behaviour


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One of both models. Both answer the same examples in the same order.

    Args:
        frozen_scores: of each example of the frozen test set, in percent (0 to 100), as `metrics.headline_each` gives
            them.
        newest_scores: the same of the newest data that nobody was trained on.
        num_examples: how many examples of both sets the model was asked for.
        metric: name of the score.
        signature: how the score was computed: tokenizer, version.
        decoding_digest: of everything that decides what is generated: beams, lengths, penalties.
        size_bytes: of the package on disk.
        milliseconds: an example takes, one value a round; both models were timed in turns.
        behaviour: how its outputs look; none: it gives labels.
    """

    frozen_scores: tuple[float, ...]
    newest_scores: tuple[float, ...]
    num_examples: int
    metric: str
    signature: str
    decoding_digest: str
    size_bytes: int
    milliseconds: tuple[float, ...]
    behaviour: Behaviour | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Both models, and what is known beside them.

    Args:
        candidate: trained tonight.
        champion: in use, measured again tonight.
        slices: name -> numbers of examples of the frozen set.
        num_frozen_uses: how often the frozen set was used to compare a candidate before tonight.
        label_flips: share of frozen examples (0 to 1) on which both give different labels; none: they give texts.
        parity: share of answers (0 to 1) on which the candidate's exported graphs agree with its package; none: it has
            no graphs.
        recorded_score: mean frozen score of the champion in the night in which it was promoted; none: nobody wrote one
            down.
        days_since_promotion: days since the last promotion; none: there was none.
    """

    candidate: Measured
    champion: Measured
    slices: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    num_frozen_uses: int
    label_flips: float | None = None
    parity: float | None = None
    recorded_score: float | None = None
    days_since_promotion: float | None = None
