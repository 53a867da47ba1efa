"""Every setting of every job: type, default, unit, allowed values and meaning.

`load.py` turns YAML and the command line into these dataclasses; nothing else in the project reads YAML.
The four groups `task`, `model`, `recipe`, `cluster` are sections that `conf/<group>/<name>.yaml` fills.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any

from pipeline.config.errors import UserError

WEIGHT_BITS = (1, 1.58, 2, 3, 4, 8, 32)  # 1.58: ternary, stored five to a byte
ACTIVATION_BITS = (2, 4, 8, 32)
GRANULARITIES = ("per_row", "per_tensor", "group_32", "group_64", "group_128")


def option(
    default: Any,
    meaning: str,
    *,
    allowed: tuple[Any, ...] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A dataclass field that knows what it means and which values it takes (bounds are inclusive)."""
    metadata = {"meaning": meaning, "allowed": allowed, "minimum": minimum, "maximum": maximum}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where data lies on this installation."""

    root: str = option("data", "folder that relative data file paths of a task start from")


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """Where the examples of a task come from."""

    kind: str = option("docstrings", "origin of the examples", allowed=("docstrings", "files", "hub"))
    name: str = option("", "hub data set name (kind=hub), e.g. EdinburghNLP/xsum")
    subset: str | None = option(None, "hub configuration name (kind=hub), e.g. 3.0.0")
    files: dict[str, str] = option(dict, "split -> path of a .jsonl/.json/.csv/.parquet file (kind=files)")
    source_column: str = option("source", "column that holds the model's input text")
    target_column: str = option("target", "column that holds the reference text")
    max_train_examples: int | None = option(None, "keep at most this many training examples", minimum=1)
    max_validation_examples: int | None = option(None, "keep at most this many validation examples", minimum=1)
    max_test_examples: int | None = option(None, "keep at most this many test examples", minimum=1)


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How text is generated for evaluation."""

    num_beams: int = option(1, "beam width; 1 is greedy", minimum=1, maximum=64)
    min_length: int = option(0, "least tokens generated, as transformers counts it", minimum=0)
    max_length: int = option(32, "most tokens generated, start token included", minimum=2)
    length_penalty: float = option(1.0, "exponent of the length in beam scores")
    early_stopping: bool = option(True, "beam search stops when num_beams texts are complete")
    no_repeat_ngram_size: int = option(0, "forbid repeating n-grams of this size; 0 allows", minimum=0)


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """A task: examples, length limits, decoding."""

    name: str = option("docstrings", "name of the task; the file conf/task/<name>.yaml")
    objective: str = option(
        "supervised",
        "supervised: source -> target; denoising: noised source -> the source itself (BART pre-training)",
        allowed=("supervised", "denoising"),
    )
    corpus: CorpusConfig = option(CorpusConfig, "origin of the examples")
    source_prefix: str = option("", "text put before every source")
    source_language: str | None = option(None, "language code of sources, for mBART's tokenizers, e.g. en_XX")
    target_language: str | None = option(None, "language code of targets, for mBART's tokenizers, e.g. ro_RO")
    max_source_tokens: int = option(1024, "longer sources are cut (counted and logged)", minimum=2)
    max_target_tokens: int = option(128, "longer training targets are cut (counted and logged)", minimum=2)
    decoding: DecodingConfig = option(DecodingConfig, "generation settings for evaluation")
    metric: str = option("rouge", "rouge (summaries) or bleu: BLEU and chrF (translation)", allowed=("rouge", "bleu"))


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


_TERNARY = ("twn", "elastic", "seq", "anchored")
_UNIFORM = ("symmetric", "asymmetric", "lsq", "anchored")


@dataclass(frozen=True, kw_only=True)
class QuantisersConfig:
    """Which quantiser a matrix gets at each number of bits; pipeline/quantization/README.md explains them."""

    one_bit: str = option("elastic", "at 1 bit", allowed=("elastic",))
    ternary: str = option("twn", "at 1.58 bits", allowed=_TERNARY)
    two_bit: str = option(
        "twn", "at 2 bits; twn, elastic and anchored use three levels", allowed=(*_TERNARY, "asymmetric", "lsq")
    )
    three_bit: str = option("symmetric", "at 3 bits", allowed=_UNIFORM)
    four_bit: str = option("symmetric", "at 4 bits", allowed=_UNIFORM)
    eight_bit: str = option("symmetric", "at 8 bits", allowed=_UNIFORM)

    def at(self, bits: float) -> str:
        """The quantiser's name at a number of bits below 32."""
        names = {1: self.one_bit, 1.58: self.ternary, 2: self.two_bit}
        return (names | {3: self.three_bit, 4: self.four_bit, 8: self.eight_bit})[bits]


@dataclass(frozen=True, kw_only=True)
class QuantisationConfig:
    """How students are quantised; bits come from each student's scheme W-E-A."""

    weights: QuantisersConfig = option(QuantisersConfig, "quantisers of linear layers")
    embeddings: QuantisersConfig = option(QuantisersConfig, "quantisers of token and position embeddings")
    weight_granularity: str = option("per_row", "which weights of a linear layer share a scale", allowed=GRANULARITIES)
    embedding_granularity: str = option(
        "per_row", "which values of an embedding table share a scale", allowed=GRANULARITIES
    )
    activation_granularity: str = option(
        "per_token",
        "one scale per token or per tensor, taken from the values; learned: one per tensor, trained (for 2 and 4 bits)",
        allowed=("per_token", "per_tensor", "learned"),
    )
    clip_value: float | None = option(
        None, "clip activations and weights (twn, symmetric, asymmetric) to +-this before quantising", minimum=0.01
    )
    attention: bool = option(True, "quantise q, k, v and attention probabilities to the activation bits")
    probabilities: str = option(
        "unsigned", "grid of attention probabilities; signed leaves half of it unused", allowed=("unsigned", "signed")
    )
    post_activation: str = option(
        "symmetric",
        "grid of what follows GELU or ReLU; learned scales: signed or from 0 up",
        allowed=("symmetric", "asymmetric"),
    )
    lm_head: bool = option(True, "the output projection uses the embedding's codes (tied, stored once)")
    position_bits: float = option(8, "bits of learned position embeddings", allowed=WEIGHT_BITS)
    bits: list[str] = option(
        list, "bits of single modules by name pattern, e.g. ['model.encoder.layers.0.*=8']; the last match counts"
    )
    as_published: bool = option(
        False, "DQ-BART's arithmetic to the last rounding: scales keep all bits (twn and symmetric only)"
    )


_LOSSES: tuple[str, ...] = ("task", "logits", "encoder_attention", "decoder_attention", "cross_attention")
_LOSSES += ("encoder_hidden", "decoder_hidden", "encoder_relations", "decoder_relations", "contrastive")
# What DQ-BART's loss does not know: with reduction=tensor each keeps its default (logits_kind is mse there).
_TOKEN_ONLY: tuple[str, ...] = ("logits_kind", "attention_kind", "hidden_kind", "encoder_relations")
_TOKEN_ONLY += ("decoder_relations", "relation_heads", "encoder_relation_layer", "decoder_relation_layer")
_TOKEN_ONLY += ("contrastive", "contrastive_temperature")


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """Weights of the training losses, 0 switches a term off; and what each of them compares."""

    reduction: str = option(
        "token",
        "token: masked, divided by token counts, averaged over layers; tensor: plain means over padded tensors, "
        "summed over layers (DQ-BART)",
        allowed=("token", "tensor"),
    )
    task: float = option(1.0, "cross-entropy with the reference", minimum=0.0)
    logits: float = option(1.0, "distance of the logits to the teacher's", minimum=0.0)
    logits_kind: str = option("kl", "kl: KL divergence at the temperature; mse: squared error", allowed=("kl", "mse"))
    temperature: float = option(1.0, "temperature of the KL divergence", minimum=0.01)
    encoder_attention: float = option(1.0, "distance of encoder attention probabilities", minimum=0.0)
    decoder_attention: float = option(1.0, "distance of decoder self-attention probabilities", minimum=0.0)
    cross_attention: float = option(1.0, "distance of cross-attention probabilities", minimum=0.0)
    attention_kind: str = option(
        "mse", "attention probabilities: mse: squared error; kl: KL divergence", allowed=("mse", "kl")
    )
    encoder_hidden: float = option(1.0, "distance of encoder hidden states", minimum=0.0)
    decoder_hidden: float = option(1.0, "distance of decoder hidden states", minimum=0.0)
    hidden_kind: str = option(
        "mse",
        "hidden states: mse: squared error; normalised: squared error after normalising both over their width",
        allowed=("mse", "normalised"),
    )
    encoder_relations: float = option(
        0.0, "KL divergence of encoder self-attention relations: q-q, k-k, v-v of one layer (MiniLMv2)", minimum=0.0
    )
    decoder_relations: float = option(0.0, "the same of decoder self-attention", minimum=0.0)
    relation_heads: int | None = option(
        None, "heads that q, k, v are cut into for relations; none: the teacher's attention heads", minimum=1
    )
    encoder_relation_layer: int | None = option(
        None, "teacher layer of encoder_relations, from 0; none: the last. The student's is its last", minimum=0
    )
    decoder_relation_layer: int | None = option(
        None, "teacher layer of decoder_relations, from 0; none: the last. The student's is its last", minimum=0
    )
    contrastive: float = option(
        0.0, "last decoder states: tell the teacher's state of the token from those of other tokens", minimum=0.0
    )
    contrastive_temperature: float = option(0.1, "temperature of the contrastive term's similarities", minimum=0.01)

    def __post_init__(self) -> None:
        if self.reduction == "tensor":
            self._check_published()
        if not any(getattr(self, name) for name in _LOSSES):
            raise UserError(
                "recipe.distillation with every weight 0", "one weight above 0", "set ...distillation.task=1"
            )

    def _check_published(self) -> None:
        published = {setting.name: setting.default for setting in fields(self)} | {"logits_kind": "mse"}
        for name in _TOKEN_ONLY:
            given, allowed = getattr(self, name), published[name]
            if given != allowed:
                shown = "null" if allowed is None else allowed
                raise UserError(
                    f"recipe.distillation.{name}={given} with reduction=tensor",
                    f"{shown}, as published",
                    f"set recipe.distillation.{name}={shown} or reduction=token",
                )


@dataclass(frozen=True, kw_only=True)
class SequenceConfig:
    """Sequence-level distillation (Kim & Rush 2016): the teacher's beam search writes training targets."""

    kind: str = option(
        "none",
        "none: references; pure: the teacher's best text; interpolated: the one of its beams nearest to the reference; "
        "filtered: its best text where that is near enough to the reference, which is kept elsewhere",
        allowed=("none", "pure", "interpolated", "filtered"),
    )
    num_beams: int = option(4, "beam width of the teacher", minimum=1, maximum=64)
    min_similarity: float = option(
        10.0,
        "filtered: least likeness of a kept text to the reference, in percent: ROUGE-2, or chrF where task.metric=bleu",
        minimum=0.0,
        maximum=100.0,
    )


@dataclass(frozen=True, kw_only=True)
class PruningConfig:
    """How the heads are chosen that a student with `heads` below 1 keeps; the others are really removed."""

    method: str = option(
        "importance",
        "importance: first-order, before training (Michel et al. 2019); gates: hard-concrete gates trained with the "
        "student's own losses in full precision first (Voita et al. 2019)",
        allowed=("importance", "gates"),
    )
    num_examples: int = option(
        512, "importance: about so many training examples are looked at, by the first worker", minimum=1
    )
    num_steps: int = option(200, "gates: optimiser steps that gates and weights are trained for", minimum=1)
    penalty: float = option(0.5, "gates: weight of the expected part of open gates", minimum=0.0)
    pace: float = option(50.0, "gates: how much faster than weights they move", minimum=1.0)


@dataclass(frozen=True, kw_only=True)
class DqbartConfig:
    """What only the published method knows."""

    as_released: bool = option(
        False, "with reduction=tensor: also the loss term that the released code computes by mistake"
    )


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """One name for quantiser settings and losses."""

    name: str = option("best", "name of the recipe; the file conf/recipe/<name>.yaml")
    quantisation: QuantisationConfig = option(QuantisationConfig, "quantiser settings")
    schedule: list[str] = option(
        list,
        "schemes on the way to the student's own, each until a part of the steps (below 1) or a step, e.g. "
        "['0.3=32-32-32', '0.5=8-8-8']: full precision, then 8 bits, then the student's scheme",
    )
    pruning: PruningConfig = option(PruningConfig, "how heads are chosen for removal")
    sequence: SequenceConfig = option(SequenceConfig, "texts of the teacher as targets")
    distillation: DistillationConfig = option(DistillationConfig, "loss weights")
    dqbart: DqbartConfig = option(DqbartConfig, "settings of the published method")

    def __post_init__(self) -> None:
        if self.dqbart.as_released and self.distillation.reduction != "tensor":
            raise UserError(
                "recipe.dqbart.as_released=true with recipe.distillation.reduction=token",
                "as_released goes with reduction=tensor",
                "set recipe=dqbart, or recipe.dqbart.as_released=false",
            )


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
DEPTH_PATTERN = re.compile(r"^([1-9]\d*)-([1-9]\d*)$")


@dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """One point of a sweep: bits, depth and what differs from the sweep's defaults."""

    scheme: str = option("8-8-8", "bits W-E-A: weights, embeddings, activations; 32 is not quantised")
    depth: str = option("6-3", "encoder-decoder layers of the student")
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
            raise UserError(f"depth '{self.depth}'", "encoder-decoder layers such as 6-3", change)
        if "name" in self.recipe:
            raise UserError(
                f"student {self.scheme} {self.depth} with recipe.name", "settings, not a name", "write what differs"
            )
        if self.recipe and not self.label:
            raise UserError(
                f"student {self.scheme} {self.depth} with a recipe of its own and no label", "a label", "add label: ..."
            )

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
    storage: StorageConfig = option(StorageConfig, "where results lie")
    tracking: TrackingConfig = option(TrackingConfig, "where runs are recorded")
