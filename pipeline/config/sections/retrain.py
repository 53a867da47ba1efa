"""Settings of nightly retraining: what a night works on, how it is undone, who is told."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.config.bounds import MOST_LISTED
from pipeline.config.errors import UserError
from pipeline.config.option import check_relations, option, relation


@dataclass(frozen=True, kw_only=True)
class RetrainConfig:
    """One night: the name under which champions follow each other, and what is asked for besides."""

    name: str = option(
        "retrained",
        "of the registered model whose aliases `champion` and `previous` the night moves, and of the ledger's folder",
        is_literal=True,
    )
    force: bool = option(False, "work through the night although neither data nor settings are new")
    rollback: bool = option(False, "make an earlier version the champion again, and do nothing else")
    to: str | None = option(
        None, "version that a rollback returns to; none: the one before the champion", is_literal=True
    )
    new_frozen_set: bool = option(
        False, "take the test split as the frozen set from now on: its uses are counted anew, no gate compares with it"
    )
    held_out: float = option(
        0.1,
        "part of the examples that no night has seen before which is not trained on, but scores both models",
        minimum=0.001,
        maximum=0.9,
    )
    max_held_out: int = option(500, "no more than so many of them", minimum=1)
    slice_column: str | None = option(
        None, "column of the test file whose values part the frozen set into slices with a gate each, e.g. a domain"
    )
    alignment_examples: int = option(
        128,
        "new examples whose targets the champion's teacher must find likelier than shifted ones; 0: none",
        minimum=0,
    )
    timing_examples: int = option(
        16, "frozen examples that both models answer one by one, in turns, for milliseconds; 0: none", minimum=0
    )
    timing_rounds: int = option(5, "rounds of that", minimum=1, maximum=MOST_LISTED)
    parity_examples: int = option(
        100, "frozen examples that the candidate's exported graphs answer beside its package; 0: none", minimum=0
    )
    probe_examples: int = option(
        2,
        "frozen sources that the registered version must answer as its package does, served by `mlflow models serve` "
        "in a process of its own; 0: none",
        minimum=0,
        maximum=64,
    )
    probe_environment: str = option(
        "process",
        "which packages that process has: process: those of this Python; virtualenv: those that the version names, in "
        "an environment that MLflow makes, which needs pyenv, bash, an index of packages or a mirror (PIP_* is handed "
        "on), and at first minutes and gigabytes: raise probe_seconds",
        allowed=("process", "virtualenv"),
    )
    probe_seconds: float = option(180.0, "time for the server to start and to answer", minimum=1.0, maximum=3600.0)
    keep_nights: int = option(
        7,
        "newest nights whose data, teachers, sweeps and copies of models stay in the storage folder, beside those of "
        "all versions with an alias; what older nights have made is removed at the end of a night",
        minimum=1,
    )
    notify_command: list[str] = option(
        list, "program with arguments that gets the decision as JSON on its standard input, without a shell"
    )
    notify_url: str = option(
        "",
        "address that the decision is posted to as JSON; empty: none. If its path is secret, a program should know it",
        is_address=True,
    )
    notify_seconds: float = option(20.0, "time for either", minimum=0.1, maximum=600.0)

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("name")
    def _folder_and_model_can_be_called_so(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", self.name):
            raise UserError(
                f"retrain.name='{self.name[:120]}'",
                "up to 100 letters, digits and _ . - after the first",
                "set retrain.name",
            )

    @relation("to", "rollback")
    def _only_a_rollback_goes_somewhere(self) -> None:
        if self.to is not None and not self.rollback:
            raise UserError(f"retrain.to={self.to} without retrain.rollback", "rollback=true", "add rollback=true")
        if self.to is not None and not re.fullmatch(r"[1-9][0-9]{0,8}", self.to):
            raise UserError(f"retrain.to={self.to[:20]}", "the number of a version", "see the ledger's page")

    @relation("notify_url")
    def _address_is_one(self) -> None:
        if self.notify_url and not re.match(r"https?://[^\s/]", self.notify_url):
            raise UserError("retrain.notify_url", "an address with http:// or https://", "set retrain.notify_url")
