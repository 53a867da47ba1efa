"""Where results lie."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.option import option


@dataclass(frozen=True, kw_only=True)
class StorageConfig:
    """Where results lie."""

    path: str = option(
        "${oc.env:DQ_STORAGE,runs}",
        "folder for checkpoints, packed models, caches and the local tracking store; absolute in a submitted job",
    )
