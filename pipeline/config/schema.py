"""Sections that jobs share: every setting with type, default, unit, allowed values and meaning."""

from __future__ import annotations

import re
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


@dataclass(frozen=True, kw_only=True)
class ArchitectureConfig:
    """A model built from scratch (used when model.pretrained is empty)."""

    d_model: int = option(128, "width of the residual stream", minimum=4)
    ffn_dim: int = option(512, "width of the feed-forward layers", minimum=4)
    num_heads: int = option(4, "attention heads per layer", minimum=1)
    encoder_layers: int = option(6, "encoder layers", minimum=1)
    decoder_layers: int = option(6, "decoder layers", minimum=1)
    max_positions: int = option(256, "longest sequence in tokens", minimum=8)
    init_std: float = option(0.08, "standard deviation of initial weights; 0.02 was seen not to learn", minimum=0.0)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The teacher's starting point and tokenizer."""

    name: str = option("seed", "name of the model; the file conf/model/<name>.yaml")
    family: str | None = option(
        None, "model family: of a model from scratch (none: bart); a pre-trained one says its own, checked if given"
    )
    pretrained: str | None = option(None, "hub name or folder made by save_pretrained; empty: from scratch")
    tokenizer: str | None = option(
        None, "hub name or folder; empty: that of model.pretrained, or one trained on the training split"
    )
    vocab_size: int = option(4096, "vocabulary of a tokenizer trained here, in tokens", minimum=300)
    architecture: ArchitectureConfig = option(ArchitectureConfig, "shape of a model built from scratch")


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """Where and how training runs."""

    name: str = option("local", "name of the cluster; the file conf/cluster/<name>.yaml")
    launcher: str = option(
        "ray", "ray: Ray Train workers; process: this process alone, without Ray", allowed=("ray", "process")
    )
    engine: str = option(
        "deepspeed", "deepspeed: ZeRO; torch: plain PyTorch, replicated parameters", allowed=("deepspeed", "torch")
    )
    address: str = option(
        "auto", "Ray address: auto (the running cluster), local (start one in this process), host:port"
    )
    num_workers: int = option(2, "Ray Train workers (ranks)", minimum=1)
    cpus_per_worker: int = option(1, "CPU cores reserved per worker", minimum=1)
    gpus_per_worker: int = option(0, "GPUs per worker", minimum=0, maximum=1)
    zero_stage: int = option(2, "DeepSpeed ZeRO stage", allowed=(0, 1, 2, 3))
    precision: str = option("bf16", "matmul precision over fp32 parameters", allowed=("bf16", "fp32"))
    max_failures: int = option(1, "restarts of lost workers before the job fails", minimum=0)
    worker_memory_gib: float | None = option(
        None, "memory of one worker, of its device where it uses a GPU; none: what Ray knows of the nodes", minimum=0.0
    )
    wait_seconds: float = option(0.0, "how long nodes that are not there yet are waited for at the start", minimum=0.0)
    lost_node_seconds: float = option(
        300.0, "how long nodes that were lost are waited for, where nothing can go on without", minimum=0.0
    )

    @property
    def layout(self) -> str:
        """What a checkpoint depends on: a run under another layout cannot read it and starts afresh."""
        engine = f"zero{self.zero_stage}" if self.engine == "deepspeed" else self.engine
        return f"{engine}-{self.num_workers}-{'cuda' if self.gpus_per_worker else 'cpu'}"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run: batches, optimiser, schedule."""

    epochs: int = option(3, "passes over the training split", minimum=0)
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


@dataclass(frozen=True, kw_only=True)
class StorageConfig:
    """Where results lie."""

    path: str = option(
        "${oc.env:DQ_STORAGE,runs}",
        "folder for checkpoints, packed models, caches and the local tracking store; absolute in a submitted job",
    )


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Where runs are recorded."""

    uri: str = option("${oc.env:MLFLOW_TRACKING_URI,''}", "MLflow tracking URI; empty: sqlite in the storage folder")
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
