"""Batches, optimiser and schedule of a training run."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.bounds import MOST_LISTED
from pipeline.config.option import option


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run: batches, optimiser, schedule."""

    epochs: int = option(3, "passes over the training split", minimum=0, maximum=MOST_LISTED)
    max_steps: int | None = option(None, "stop after this many optimiser steps even if epochs remain", minimum=0)
    batch_tokens: int = option(8192, "source + target tokens per optimiser step, all ranks together", minimum=16)
    micro_batch_tokens: int = option(8192, "most padded tokens in one forward pass of one rank (memory)", minimum=16)
    optimiser: str = option(
        "adamw",
        "adamw: PyTorch's, warm-up from its first step on; adamw_as_published: DQ-BART's optimiser and schedule "
        "(epsilon 1e-6 added before bias correction, decay after the step and of all but biases, warm-up from 0)",
        allowed=("adamw", "adamw_as_published"),
    )
    learning_rate: float = option(3e-4, "peak of AdamW's learning rate", minimum=0.0)
    warmup_fraction: float = option(0.05, "part of the steps with rising learning rate", minimum=0.0, maximum=1.0)
    weight_decay: float = option(0.0, "AdamW weight decay on matrices (adamw_as_published: on norms, too)", minimum=0.0)
    beta2: float = option(0.999, "AdamW second-moment decay", minimum=0.0, maximum=0.99999)
    max_gradient_norm: float = option(1.0, "gradient clipping norm; 0 switches clipping off", minimum=0.0)
    label_smoothing: float = option(0.0, "label smoothing of the cross-entropy", minimum=0.0, maximum=1.0)
    dropout: float = option(0.1, "dropout of the trained model", minimum=0.0, maximum=0.9)
    log_every_steps: int = option(10, "optimiser steps between logged metrics", minimum=1, changes_results=False)
    validate_every_epochs: int = option(1, "epochs between validations; 0: never", minimum=0)
    checkpoint_every_steps: int = option(500, "optimiser steps between checkpoints", minimum=1, changes_results=False)
