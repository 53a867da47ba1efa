"""Settings of the job `compare`."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.option import option, section
from pipeline.config.sections.storage import StorageConfig
from pipeline.config.sections.tracking import TrackingConfig


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig:
    """What is compared."""

    first: str = option("", "id of a run or a sweep, or its name where it is the only one", place=0, is_literal=True)
    second: str = option("", "the other run or sweep", place=1, is_literal=True)


@dataclass(frozen=True, kw_only=True)
class CompareJob:
    """Two runs, or two sweeps, on the same examples."""

    comparison: ComparisonConfig = section(ComparisonConfig, "what is compared", is_own=True)
    storage: StorageConfig = section(StorageConfig, "where results lie")
    tracking: TrackingConfig = section(TrackingConfig, "where runs are recorded", without=["register"])
