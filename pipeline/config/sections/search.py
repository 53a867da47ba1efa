"""Settings of searches for architectures."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.errors import UserError
from pipeline.config.option import check_relations, option, relation
from pipeline.config.sections.export import VARIANTS

TORCH = "torch"  # among the runtimes; the others are exported variants, which ONNX Runtime runs


@dataclass(frozen=True, kw_only=True)
class LatencyConfig:
    """How the milliseconds of candidates are measured."""

    source_tokens: int = option(128, "source tokens of a sequence", minimum=1)
    new_tokens: int = option(32, "greedy tokens generated for each; a classifier generates none", minimum=2)
    batch: int = option(1, "sequences at once", minimum=1)
    threads: int = option(1, "threads of a model", minimum=1)
    runtimes: list[str] = option(
        lambda: ["fast", TORCH],
        f"what runs them: {TORCH}: the package; {', '.join(VARIANTS)}: its graphs of that variant in ONNX Runtime",
    )
    rounds: int = option(7, "samples of every candidate that count", minimum=1)
    sample_seconds: float = option(0.2, "a sample repeats what it times for at least so long", minimum=0.0)
    chunk: int = option(
        6, "candidates that take turns; beside them always the same one, by whose times chunks are compared", minimum=1
    )
    max_measured: int = option(
        24, "most candidates that are measured; a model fitted to them tells the others' times", minimum=2
    )
    max_other_load: float = option(
        0.15, "cores that other processes may use during a sample beyond those that the threads leave free", minimum=0.0
    )
    timeout_seconds: float = option(600.0, "how long a model may be silent before it counts as lost", minimum=1.0)

    def __post_init__(self) -> None:
        check_relations(self)

    @relation("runtimes")
    def _runtimes_are_known(self) -> None:
        allowed = (TORCH, *VARIANTS)
        if not self.runtimes or len(set(self.runtimes)) < len(self.runtimes) or set(self.runtimes) - set(allowed):
            raise UserError(
                f"search.latency.runtimes={self.runtimes}",
                f"one or more of {', '.join(allowed)}, each once",
                "set search.latency.runtimes",
            )
