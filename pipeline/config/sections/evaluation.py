"""What is measured, and on how many examples."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.option import option


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is measured after training."""

    split: str = option("test", "split that results are reported on", allowed=("validation", "test"))
    max_examples: int | None = option(None, "evaluate at most this many examples of the split", minimum=1)
    max_validation_examples: int | None = option(
        None, "validate on at most this many examples between epochs", minimum=1
    )
    batch_tokens: int = option(8192, "padded source tokens per generated batch", minimum=16)
    num_samples: int = option(50, "predictions kept as a table", minimum=0)
    score_exported: bool = option(
        False, "score what the exported student says, too: on the CPU of the workers, whatever the students run on"
    )
    latency_examples: int = option(
        20, "examples that each student and its teacher are timed on, one by one and in turns; 0: no times", minimum=0
    )
