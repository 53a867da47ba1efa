"""Every setting of every job: type, default, unit, allowed values and meaning.

`load.py` turns YAML and the command line into these dataclasses; nothing else in the project reads YAML.
The four groups `task`, `model`, `recipe`, `cluster` are sections that `conf/<group>/<name>.yaml` fills.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pipeline.config.errors import UserError
from pipeline.config.option import option
from pipeline.config.recipe import ACTIVATION_BITS, WEIGHT_BITS, RecipeConfig
from pipeline.config.task import TaskConfig


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where data lies on this installation."""

    root: str = option("data", "folder that relative data file paths of a task start from")


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

    @property
    def layout(self) -> str:
        """What a checkpoint depends on: a run under another layout cannot read it and starts afresh."""
        engine = f"zero{self.zero_stage}" if self.engine == "deepspeed" else self.engine
        return f"{engine}-{self.num_workers}"


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run: batches, optimiser, schedule."""

    epochs: int = option(3, "passes over the training split", minimum=0)
    max_steps: int | None = option(None, "stop after this many optimiser steps even if epochs remain", minimum=0)
    batch_tokens: int = option(8192, "source + target tokens per optimiser step, all ranks together", minimum=16)
    micro_batch_tokens: int = option(8192, "most padded tokens in one forward pass of one rank (memory)", minimum=16)
    learning_rate: float = option(3e-4, "peak of AdamW's learning rate", minimum=0.0)
    warmup_fraction: float = option(0.05, "part of the steps with rising learning rate", minimum=0.0, maximum=1.0)
    weight_decay: float = option(0.0, "AdamW weight decay on matrices", minimum=0.0)
    beta2: float = option(0.999, "AdamW second-moment decay", minimum=0.0, maximum=0.99999)
    max_gradient_norm: float = option(1.0, "gradient clipping norm; 0 switches clipping off", minimum=0.0)
    label_smoothing: float = option(0.0, "label smoothing of the cross-entropy", minimum=0.0, maximum=1.0)
    dropout: float = option(0.1, "dropout of the trained model", minimum=0.0, maximum=0.9)
    log_every_steps: int = option(10, "optimiser steps between logged metrics", minimum=1)
    validate_every_epochs: int = option(1, "epochs between validations; 0: never", minimum=0)
    checkpoint_every_steps: int = option(500, "optimiser steps between checkpoints", minimum=1)


SCHEME_PATTERN = re.compile(r"^([1-9]\d*(?:\.\d*[1-9])?)-([1-9]\d*(?:\.\d*[1-9])?)-([1-9]\d*(?:\.\d*[1-9])?)$")
DEPTH_PATTERN = re.compile(r"^([1-9]\d*)(?:-([1-9]\d*))?$")


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """One point of a sweep: bits, depth and what differs from the sweep's defaults."""

    scheme: str = option("8-8-8", "bits W-E-A: weights, embeddings, activations; 32 is not quantised")
    depth: str = option("6-3", "encoder-decoder layers of the student; of an encoder alone one number")
    heads: float = option(1.0, "part of the attention heads that is kept (recipe.pruning chooses)", minimum=0.0)
    distil: bool = option(True, "false: task loss only, no teacher")
    encoder_map: list[int] | None = option(None, "teacher layer of each encoder layer; none: the rule of LayerMap")
    decoder_map: list[int] | None = option(None, "teacher layer of each decoder layer; none: the rule of LayerMap")
    learning_rate: float | None = option(None, "overrides student.learning_rate", minimum=0.0)
    recipe: dict[str, Any] = option(dict, "what differs from the sweep's recipe, e.g. {quantisation: {lm_head: false}}")
    label: str = option("", "tells students of the same scheme and depth apart in tables; needed beside `recipe`")

    def __post_init__(self) -> None:
        match = SCHEME_PATTERN.match(self.scheme)
        change = "write sweep.students entries like {scheme: 2-2-8, depth: 6-3}"
        if not match:
            raise UserError(
                f"scheme '{self.scheme}'", "three numbers W-E-A such as 8-8-8, 2-2-8, 1.58-1.58-8 or 32-32-32", change
            )
        weights, embeddings, activations = (float(bits) for bits in match.groups())
        for name, bits, allowed in (
            ("weight", weights, WEIGHT_BITS),
            ("embedding", embeddings, WEIGHT_BITS),
            ("activation", activations, ACTIVATION_BITS),
        ):
            if bits not in allowed:
                raise UserError(f"{bits:g} {name} bits in scheme '{self.scheme}'", f"{allowed}", change)
        if not 0 < self.heads <= 1:
            raise UserError(f"student {self.scheme} {self.depth} with heads={self.heads}", "above 0, at most 1", change)
        if not DEPTH_PATTERN.match(self.depth):
            raise UserError(
                f"depth '{self.depth}'", "encoder-decoder layers such as 6-3, or 3 for an encoder alone", change
            )
        if "name" in self.recipe:
            raise UserError(
                f"student {self.scheme} {self.depth} with recipe.name", "settings, not a name", "write what differs"
            )
        if self.recipe and not self.label:
            raise UserError(
                f"student {self.scheme} {self.depth} with a recipe of its own and no label", "a label", "add label: ..."
            )

    @property
    def num_layers(self) -> tuple[int, int | None]:
        """Encoder and decoder layers; the latter are not given for an encoder alone."""
        encoder, _, decoder = self.depth.partition("-")
        return int(encoder), int(decoder) if decoder else None

    @property
    def name(self) -> str:
        """What a person calls this student, e.g. `2-2-8 6-3 no-distil`."""
        parts = [self.scheme, self.depth, *([self.label] if self.label else [])]
        if self.heads < 1:
            parts.append(f"heads={self.heads:g}")
        if not self.distil:
            parts.append("no-distil")
        for name, layers in (("encoder", self.encoder_map), ("decoder", self.decoder_map)):
            if layers is not None:
                parts.append(f"{name}={','.join(map(str, layers))}")
        if self.learning_rate is not None:
            parts.append(f"lr={self.learning_rate!r}")
        return " ".join(parts)


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """The students of one sweep."""

    students: list[StudentConfig] = option(
        lambda: [StudentConfig()], "the students; those that can see the same batches are trained as one cohort"
    )
    seeds: list[int] = option(
        list, "train every student once with each of these seeds (batches, dropout), one teacher; empty: with `seed`"
    )

    def __post_init__(self) -> None:
        names = [student.name for student in self.students]
        if not names:
            raise UserError("sweep.students is empty", "at least one student", "add {scheme: 8-8-8, depth: 6-3}")
        if len(set(names)) != len(names):
            raise UserError("sweep.students names a student twice", "distinct students", "remove one, or label them")
        if len(set(self.seeds)) != len(self.seeds) or any(seed < 0 for seed in self.seeds):
            raise UserError(f"sweep.seeds={self.seeds}", "distinct numbers from 0 on", "change sweep.seeds")


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
    latency_examples: int = option(
        20, "examples that each student and its teacher are timed on, one by one and in turns; 0: no times", minimum=0
    )


@dataclass(frozen=True, kw_only=True)
class ComparisonConfig:
    """What jobs/compare.py compares."""

    first: str = option("", "run id, or a run's name where it is the only one of that name")
    second: str = option("", "the other run")


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """What jobs/benchmark.py measures."""

    kind: str = option("generation", "generation: weights quantised once or at every step", allowed=("generation",))
    scheme: str = option("2-2-8", "scheme of the student")
    depth: str = option("6-3", "encoder-decoder layers of the student")
    num_examples: int = option(5, "sequences that are timed", minimum=1)
    source_tokens: int = option(128, "tokens of each", minimum=1)
    new_tokens: int = option(16, "tokens generated for each", minimum=2)


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


@dataclass(frozen=True, kw_only=True)
class JobConfig:
    """The whole configuration of a job."""

    experiment: str | None = option(None, "named run; the file conf/experiment/<name>.yaml")
    seed: int = option(28, "seed of initialisation, dropout and data order", minimum=0)
    data: DataConfig = option(DataConfig, "where data lies")
    task: TaskConfig = option(TaskConfig, "what is learned")
    model: ModelConfig = option(ModelConfig, "the teacher's starting point")
    recipe: RecipeConfig = option(RecipeConfig, "how students are made")
    cluster: ClusterConfig = option(ClusterConfig, "where training runs")
    teacher: TrainConfig = option(TrainConfig, "fine-tuning of the teacher")
    student: TrainConfig = option(TrainConfig, "training of the students")
    sweep: SweepConfig = option(SweepConfig, "which students")
    evaluation: EvaluationConfig = option(EvaluationConfig, "what is measured")
    comparison: ComparisonConfig = option(ComparisonConfig, "for jobs/compare.py")
    benchmark: BenchmarkConfig = option(BenchmarkConfig, "for jobs/benchmark.py")
    storage: StorageConfig = option(StorageConfig, "where results lie")
    tracking: TrackingConfig = option(TrackingConfig, "where runs are recorded")
