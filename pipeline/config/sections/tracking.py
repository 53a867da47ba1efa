"""Where runs are recorded."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.config.errors import UserError
from pipeline.config.option import check_relations, option, relation


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Where runs are recorded."""

    uri: str = option(
        "${oc.env:MLFLOW_TRACKING_URI,''}",
        "MLflow tracking URI; empty: sqlite in the storage folder; a login in it is neither printed nor saved",
        is_address=True,
    )
    experiment: str = option("dq-bart", "MLflow experiment name")
    register: str | None = option(
        None,
        "name of a registered model: every finished student of the submission becomes a version of it, once; of the "
        "versions scored on the same examples, the alias `best` names the one with the best headline score, `smallest` "
        "the one with the fewest bytes",
    )

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("register")
    def _model_can_be_called_so(self) -> None:
        if self.register is not None and not re.fullmatch(r"\w[\w .-]*", self.register):
            raise UserError(
                f"tracking.register='{self.register}'",
                "letters, digits, spaces and _ . - after the first",
                "set tracking.register",
            )
