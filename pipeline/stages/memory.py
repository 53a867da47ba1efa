"""How much memory students need: what decides which of them share a worker, and whether they fit at all.

Estimates for the plan, meant to be too large rather than too small; `worker_peak_memory_bytes` of a run is what it was.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.data.batches import BatchPlan
from pipeline.data.limits import length_batches
from pipeline.models.families import family_of
from pipeline.models.student import meta_model, sites_of
from pipeline.pruning.heads import count_heads

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# A worker with its libraries that trains, evaluates and exports next to nothing: 2.0 seen on CPU, 0.7 when it starts.
WORKER_BYTES = 2.0 * 2**30
SHADOW_BYTES, GRADIENT_BYTES, ADAM_BYTES = 4, 4, 8  # of a parameter, all in fp32
GRID_BYTES = 14  # values on the grid, their bf16 copies, what the backward pass remembers of rounding: 30 seen in all
COPY_BYTES = 2  # of a parameter: autocast's copy, for as long as a pass lasts
# What is kept for the backward pass, counted in small models of three families under bf16 and fp32, as eager attention
# and the losses make it; up to twice too much where a model learns alone.
FEATURE_BYTES = 4.5  # of an input or output of a linear layer, with what lies between layers
STATE_BYTES = 30.0  # of a component of the residual stream where the layers begin
LOGIT_BYTES, DISTILLED_LOGIT_BYTES = 12.0, 30.0  # of a logit, with its gradient; with the teacher's
MAP_BYTES, DISTILLED_MAP_BYTES, TEACHER_MAP_BYTES = 12.0, 24.0, 4.0  # of an attention probability
PASSING_MAP_BYTES = 8.0  # of one of a teacher's layer, whose maps nobody compares: gone with the next layer
EVALUATED_LOGIT_BYTES = 12.0  # of a logit in fp32 where nothing is learned: itself, with its bias, its log-probability


def num_parameters(model_config: PretrainedConfig, num_layers: tuple[int, int] | None = None) -> int:
    """Parameters of a model of a configuration, tied matrices once.

    Args:
        model_config: the configuration.
        num_layers: encoder and decoder layers instead of its own.
    """
    return sum(int(parameter.numel()) for parameter in meta_model(_cut(model_config, num_layers)).parameters())


def _cut(model_config: PretrainedConfig, num_layers: tuple[int, int] | None) -> PretrainedConfig:
    """The configuration with other numbers of encoder and decoder layers."""
    model_config, family = copy.deepcopy(model_config), family_of(model_config)
    for stack, number in zip(family.stacks, num_layers or (), strict=False):
        setattr(model_config, stack.setting, number)
    return model_config


def state_bytes(num_parameters: int, cluster: ClusterConfig, quantized: bool = True) -> float:
    """What a model in training keeps on every worker: shadow weights, gradients, AdamW's moments, grid weights.

    ZeRO 1 shards the moments, 2 gradients as well, 3 everything; a gathered copy of the weights is used in each pass.
    """
    stage = cluster.zero_stage if cluster.engine == "deepspeed" else 0
    share = [1.0 if stage < needed else 1 / cluster.num_workers for needed in (3, 2, 1)]
    sharded = SHADOW_BYTES * share[0] + GRADIENT_BYTES * share[1] + ADAM_BYTES * share[2]
    return num_parameters * (sharded + (GRID_BYTES if quantized or stage == 3 else 0))


@dataclass(frozen=True, kw_only=True)
class Work:
    """What decides how much a model keeps of a micro-batch: sums over its layers.

    Args:
        source_features: inputs and outputs of all linear layers that see every source token.
        target_features: the same of target tokens.
        heads: kind of attention (encoder, decoder, cross) -> heads of all layers.
        layer_heads: the same of the layer that has most of them.
        width: of the residual stream.
        num_logits: of a target token, or of a classifier's label.
    """

    source_features: int
    target_features: int
    heads: Mapping[str, int]
    layer_heads: Mapping[str, int]
    width: int
    num_logits: int


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """Rows of one forward pass and their padded lengths in tokens."""

    num_rows: int
    num_source: int
    num_target: int


def work_of(model_config: PretrainedConfig, num_layers: tuple[int, int] | None = None) -> Work:
    """The work of a model of a configuration; arguments as of `num_parameters`."""
    model = meta_model(_cut(model_config, num_layers))
    sites, family = sites_of(model), family_of(model_config)
    of_source = {name for site in sites.attentions if site.kind == "cross" for name in (site.key, site.value)}
    source = target = 0
    for name in sites.linears:
        linear = model.get_submodule(name)
        features = int(linear.in_features) + int(linear.out_features)
        if name in of_source or name.startswith(f"{family.encoder.prefix}."):
            source += features
        else:
            target += features
    heads, layer_heads = (dict.fromkeys(("encoder", "decoder", "cross"), 0) for _ in range(2))
    for site in sites.attentions:
        number = count_heads(model, site)
        heads[site.kind] += number
        layer_heads[site.kind] = max(number, layer_heads[site.kind])
    return Work(
        source_features=source,
        target_features=target,
        heads=heads,
        layer_heads=layer_heads,
        width=int(model.get_submodule(sites.embeddings[0]).weight.shape[1]),
        num_logits=int(model_config.num_labels if family.lm_head is None else model_config.vocab_size),
    )


def micro_batches(
    lengths: Sequence[tuple[int, int]], train: TrainConfig, num_workers: int, seed: int
) -> set[MicroBatch]:
    """The micro-batches of all ranks in the first epoch; later ones are cut from the same examples."""
    plan = BatchPlan(
        lengths=lengths,
        batch_tokens=train.batch_tokens,
        micro_batch_tokens=train.micro_batch_tokens,
        num_ranks=num_workers,
        seed=seed,
    )
    return {
        MicroBatch(
            num_rows=len(rows),
            num_source=max(lengths[row][0] for row in rows),
            num_target=max(lengths[row][1] for row in rows),
        )
        for step in plan.steps(0)
        for of_rank in step.micro_batches
        for rows in of_rank
        if rows
    }


def pass_bytes(
    work: Work, batches: Iterable[MicroBatch], teacher: Work | None = None, *, compares_attention: bool = True
) -> float:
    """The most that one forward and backward pass keeps: activations, attention maps and logits, of both models.

    Args:
        work: of the model that is trained.
        batches: which micro-batches there are.
        teacher: of its teacher, whose maps and states lie beside its own; none without.
        compares_attention: whether the maps of both are compared; else those of the teacher are gone with their layer.
    """

    def of(batch: MicroBatch) -> float:
        source, target = batch.num_rows * batch.num_source, batch.num_rows * batch.num_target
        sides = {"encoder": source * batch.num_source, "decoder": target * batch.num_target}
        sides["cross"] = target * batch.num_source
        maps = sum(sides[kind] * heads for kind, heads in work.heads.items())
        kept = FEATURE_BYTES * (source * work.source_features + target * work.target_features)
        kept += STATE_BYTES * (source + target) * work.width
        if teacher is None:
            kept += MAP_BYTES * maps
        elif compares_attention:
            kept += DISTILLED_MAP_BYTES * maps
            kept += TEACHER_MAP_BYTES * sum(sides[kind] * heads for kind, heads in teacher.heads.items())
        else:
            kept += MAP_BYTES * maps
            kept += PASSING_MAP_BYTES * max(sides[kind] * heads for kind, heads in teacher.layer_heads.items())
        kept += 4.0 * work.num_logits * work.width  # a tied table's gradient as the head's, before both are added
        return kept + (LOGIT_BYTES if teacher is None else DISTILLED_LOGIT_BYTES) * target * work.num_logits

    return max(map(of, batches), default=0.0)


def evaluation_bytes(work: Work, lengths: Sequence[tuple[int, int]], batch_tokens: int) -> float:
    """The most that a batch of a validation loss keeps: the logits of its target tokens.

    Args:
        work: of the model that is evaluated.
        lengths: source and target tokens of the examples.
        batch_tokens: most padded tokens in a batch.
    """
    batches = length_batches([source + target for source, target in lengths], batch_tokens)
    num_target = max((len(rows) * max(lengths[row][1] for row in rows) for rows in batches), default=0)
    return EVALUATED_LOGIT_BYTES * num_target * work.num_logits


def cohort_bytes(
    students: list[int], quantized: list[bool], teacher: int, largest_pass: float, cluster: ClusterConfig
) -> float:
    """Memory of one worker that trains a cohort: students take turns, so only one pass is alive at a time.

    Args:
        students: parameters of each.
        quantized: whether it has a grid.
        teacher: parameters of the teacher, of which every worker holds a replica.
        largest_pass: the most that a pass of one of them keeps, in bytes.
        cluster: how workers share what they keep.
    """
    states = sum(state_bytes(num, cluster, grid) for num, grid in zip(students, quantized, strict=True))
    replicas = 4.0 * (teacher + max(students))  # the teacher's, and that of the student being packed and scored
    return WORKER_BYTES + states + replicas + COPY_BYTES * max(teacher, *students) + largest_pass


def quantizing_bytes(student: int, teacher: int, largest_pass: float) -> float:
    """Memory of one worker that quantizes a student without training it.

    Args:
        student: its parameters; it lies there in full precision, as it came and as it is quantized, and packed.
        teacher: parameters of the teacher.
        largest_pass: the most that a pass keeps, in bytes: of what it is calibrated on.
    """
    return WORKER_BYTES + 4.0 * (teacher + 3 * student) + largest_pass


def teacher_bytes(teacher: int, largest_pass: float, cluster: ClusterConfig) -> float:
    """Memory of one worker that fine-tunes the teacher, with the replica that validates it."""
    state = state_bytes(teacher, cluster, quantized=False)
    return WORKER_BYTES + state + (4.0 + COPY_BYTES) * teacher + largest_pass


def checkpoint_bytes(students: list[int]) -> float:
    """Disk for the checkpoints of cohorts: two are kept while a third is written."""
    return 3.0 * sum(students) * (SHADOW_BYTES + ADAM_BYTES)
