"""Where data lies."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.errors import UserError
from pipeline.config.option import check_relations, option, relation


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where data lies on this installation."""

    root: str = option("data", "folder that relative data file paths of a task start from")
    split_validation: float = option(
        0.0,
        "part of the training examples that is taken for validation, instead of a split of its own; by a hash of the "
        "source, so that equal sources stay together; 0: none",
        minimum=0.0,
        maximum=0.9,
    )
    split_test: float = option(0.0, "the same for the test split", minimum=0.0, maximum=0.9)

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("split_validation", "split_test")
    def _something_is_left_to_train_on(self) -> None:
        if (taken := self.split_validation + self.split_test) >= 1:
            raise UserError(
                f"data.split_validation + data.split_test = {taken:g}",
                "less than 1, so that something is left to train on",
                "lower one of them",
            )
