"""Settings of the job `export`."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.option import option, section
from pipeline.config.sections.export import MODEL, VARIANTS
from pipeline.config.sections.storage import StorageConfig
from pipeline.config.sections.tracking import TrackingConfig


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What is exported, and how."""

    model: str = option("", MODEL, place=0, is_literal=True)
    format: str = option("onnx", "what is written: graphs for ONNX Runtime", allowed=("onnx",))
    variant: str = option(
        "fast",
        "exact: the arithmetic of training, also for WASM; fast: products of few bits in the decoder; openvino: for it",
        allowed=VARIANTS,
    )
    output: str | None = option(
        None, "folder that is written; none: exports/<name>-<variant> in the storage folder", is_literal=True
    )
    compress: str = option(
        "none", "zip: also <output>.zip, the same files deflated, to download", allowed=("none", "zip")
    )


@dataclass(frozen=True, kw_only=True)
class ExportJob:
    """A student as graphs in a folder."""

    export: ExportConfig = section(ExportConfig, "what is exported, and how", is_own=True)
    storage: StorageConfig = section(StorageConfig, "where results lie")
    tracking: TrackingConfig = section(TrackingConfig, "where runs are recorded", without=["register"])
