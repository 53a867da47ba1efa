"""Settings of the checks that tonight's training data must pass before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.errors import UserError
from pipeline.config.option import check_relations, option, relation


@dataclass(frozen=True, kw_only=True)
class DataChecksConfig:
    """Bounds on new data; "accepted" is the training data that was accepted last."""

    min_examples: int = option(100, "smallest number of examples; with fewer the other checks tell little", minimum=1)
    max_control_characters: float = option(
        0.01, "largest share of texts with control characters but tabs and line ends", minimum=0.0, maximum=1.0
    )
    max_nul: float = option(0.0, "largest share of texts with a NUL byte or half a surrogate", minimum=0.0, maximum=1.0)
    max_wrong_encoding: float = option(
        0.01,
        "largest share of texts with replacement characters or with UTF-8 that was read as Latin-1",
        minimum=0.0,
        maximum=1.0,
    )
    max_commonest: float = option(
        0.2, "largest share of one source, or of one target that is no label", minimum=0.0, maximum=1.0
    )
    max_empty: float = option(
        0.01, "largest share of empty sources, and of empty targets; blanks alone are empty", minimum=0.0, maximum=1.0
    )
    max_duplicates: float = option(
        0.05, "largest share of examples that repeat an earlier one letter by letter", minimum=0.0, maximum=1.0
    )
    max_contradictions: float = option(
        0.02, "classification: largest share of examples whose source has another label, too", minimum=0.0, maximum=1.0
    )
    max_targets_per_source: int = option(50, "most distinct targets of one source, but labels", minimum=1)
    min_volume: float = option(
        0.8, "smallest number of examples, in parts of the accepted number; below, a file may be truncated", minimum=0.0
    )
    max_volume: float = option(3.0, "largest number of examples, in parts of the accepted number", minimum=0.0)
    max_length_shift: float = option(
        0.2,
        "largest Kolmogorov-Smirnov distance (0 to 1) of the lengths in words from those of accepted data",
        minimum=0.0,
        maximum=1.0,
    )
    max_label_shift: float = option(
        0.15,
        "classification: largest total variation (0 to 1) of the shares of labels from those of accepted data",
        minimum=0.0,
        maximum=1.0,
    )
    max_unknown_labels: float = option(
        0.0,
        "classification: largest share of examples with labels that accepted data have not",
        minimum=0.0,
        maximum=1.0,
    )
    min_known_scripts: float = option(
        0.98, "smallest share of letters that belong to a script of accepted data", minimum=0.0, maximum=1.0
    )
    max_letter_shift: float = option(
        0.1,
        "largest total variation (0 to 1) of the shares of letters from those of accepted data; of two languages in "
        "one script about 0.2",
        minimum=0.0,
        maximum=1.0,
    )
    min_known_words: float = option(
        0.5,
        "smallest share of words that accepted data know, in parts of what they know of an example of their own that "
        "is left out",
        minimum=0.0,
        maximum=1.0,
    )
    min_alignment: float = option(
        0.5,
        "smallest agreement of sources and targets in lengths, and in shared words, beyond that of shuffled pairs; in "
        "parts of that of accepted data",
        minimum=0.0,
        maximum=1.0,
    )
    max_moved: int = option(
        3,
        "by how many lines targets may have slipped to be found so; 0: not looked for",
        minimum=0,
        maximum=100,
    )
    min_likelier: float = option(
        0.6,
        "smallest share of pairs whose target is likelier than another's to a teacher; half is chance, and a weak "
        "teacher has little more",
        minimum=0.0,
        maximum=1.0,
    )
    max_test_overlap: float = option(
        0.1,
        "largest share of the frozen test set's sources found in new data; up to it they are removed, above it the "
        "data are refused",
        minimum=0.0,
        maximum=1.0,
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("min_volume", "max_volume")
    def _volumes_can_be_kept(self) -> None:
        if not self.min_volume <= 1 <= self.max_volume:
            raise UserError(
                f"data_checks.min_volume={self.min_volume:g} and data_checks.max_volume={self.max_volume:g}",
                "at most 1 and at least 1: as many examples as before are never wrong",
                "set data_checks.min_volume and data_checks.max_volume",
            )
