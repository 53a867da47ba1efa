"""Run by test_world_size.py in one or two processes: trains tiny cohorts under every engine and writes what it saw.

usage: python worker.py RANK WORLD_SIZE FOLDER
"""

import gc
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import datasets
import torch
from damage import damage
from transformers import BartConfig, BartForConditionalGeneration

from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.recipe import DistillationConfig, QuantizationConfig, QuantizersConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.data.batches import BatchPlan, TrainingBatches
from pipeline.distillation.objective import DistillationObjective, signals_of
from pipeline.distillation.recording import modules_named, relations_of
from pipeline.models.student import build_student, prepare_student, sites_of
from pipeline.pruning.gates import HeadGates
from pipeline.quantization.schedule import BitSchedule, phases_of
from pipeline.quantization.scheme import scheme_of
from pipeline.stages.sweep.student.start import calibrate
from pipeline.stages.sweep.train.prune_heads import GatedObjective
from pipeline.stages.training import make_engine
from pipeline.training.allocator import keep_memory
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.loop import Learner, LoopSettings, NoHooks, Progress, train_cohort
from pipeline.training.random_stream import RandomStream

CPU, NUM_STEPS, SPLIT_AT = torch.device("cpu"), 6, 3
TRAIN = TrainConfig(batch_tokens=120, micro_batch_tokens=64, max_gradient_norm=0.5, dropout=0.0)
PUBLISHED = replace(TRAIN, optimiser="adamw_as_published", weight_decay=0.1)

# 4-bit students learn their scales.
QUANTIZATION = QuantizationConfig(weights=QuantizersConfig(four_bit="lsq"), embeddings=QuantizersConfig(four_bit="lsq"))

# Every term and kind that is off by default; the relations look into modules that ZeRO-3 shards.
LATER = {"attention_kind": "kl", "hidden_kind": "normalised", "contrastive": 1.0}
ELASTIC = QuantizationConfig(activation_granularity="learned")
AS_PUBLISHED = load_config(SweepJob, ["recipe=dqbart"]).recipe.quantization
LATER |= {"encoder_relations": 1.0, "decoder_relations": 1.0, "encoder_relation_layer": 0}


class Recorder:
    """A listener that remembers."""

    def __init__(self):
        self.failure, self.norms = None, []

    def metrics(self, values, step):
        self.norms.append(values["gradient_norm"])

    def failed(self, reason):
        self.failure = reason


class History(NoHooks):
    """Keeps the losses of every step."""

    def __init__(self, losses):
        self.losses = losses

    def after_step(self, progress, losses):
        self.losses.append(dict(losses))


def teacher_and_batches(rank, world_size):
    torch.manual_seed(0)
    config = BartConfig(vocab_size=61, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2)
    config.update({"decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "init_std": 0.2})
    config.update({"max_position_embeddings": 32, "dropout": 0.0, "_attn_implementation": "eager"})
    teacher = BartForConditionalGeneration(config).eval().requires_grad_(False)
    draw = torch.Generator().manual_seed(1)
    sizes = torch.randint(3, 12, (40, 2), generator=draw).tolist()
    rows = [[[0, *torch.randint(3, 61, (n,), generator=draw).tolist(), 2] for n in pair] for pair in sizes]
    split = datasets.Dataset.from_dict({"input_ids": [r[0] for r in rows], "labels": [r[1] for r in rows]})
    plan = BatchPlan(
        lengths=[(len(source), len(target)) for source, target in rows],
        batch_tokens=120,
        micro_batch_tokens=64,
        num_ranks=world_size,
        seed=5,
    )
    return teacher, TrainingBatches(split, plan, rank=rank, pad_id=1, decoder_start_id=2)


def learner(
    teacher,
    scheme,
    name,
    cluster,
    dropout=0.0,
    poison_rank=None,
    schedule=(),
    settings=QUANTIZATION,
    first=None,
    train_config=TRAIN,
    change=lambda _: None,
    **weights,
):
    student = build_student(teacher, [0, 1], [1], dropout).requires_grad_(True).train()
    change(student)
    final = scheme_of(scheme, settings)
    phases = phases_of(list(schedule), settings, final)
    prepare_student(student, final)
    if first is not None:
        calibrate(student, first)
        student.train()
    config = DistillationConfig(**weights)
    relations = relations_of(config, student, teacher)
    objective = DistillationObjective(weights=config, encoder_map=[0, 1], decoder_map=[1], relations=relations)
    if poison_rank is not None:
        objective = Poisoned(objective, poison_rank)
    return Learner(
        name=name,
        engine=make_engine(student, train_config, cluster),
        objective=objective,
        learning_rate=lambda step: 1e-2 / (1 + step),
        listener=Recorder(),
        random=RandomStream(7, CPU),
        before_step=BitSchedule(student, sites_of(student), phases, final, NUM_STEPS),
    )


def gated_learner(teacher, cluster):
    """A student whose gates are trained with it; the draws of a rank are those of its random stream."""
    student = build_student(teacher, [0, 1], [1], 0.0).requires_grad_(True).train()
    gates = HeadGates(student, sites_of(student), pace=50.0)
    gates.attach(student)
    inner = DistillationObjective(weights=DistillationConfig(), encoder_map=[0, 1], decoder_map=[1])
    return Learner(
        name="gated",
        engine=make_engine(student, TRAIN, cluster),
        objective=GatedObjective(inner=inner, gates=gates, num_heads=8, penalty=0.5),
        learning_rate=lambda step: 1e-2 / (1 + step),
        listener=Recorder(),
        random=RandomStream(7, CPU),
    )


class Poisoned:
    """An objective that turns NaN on one rank at its fourth call."""

    needs_teacher = True

    def __init__(self, objective, poison_rank):
        self.objective, self.poison_rank, self.calls = objective, poison_rank, 0

    def __call__(self, engine, batch, signals, counts):
        self.calls += 1
        terms = self.objective(engine, batch, signals, counts)
        if self.calls == 4 and int(os.environ["RANK"]) == self.poison_rank:
            terms["logits_loss"] = terms["logits_loss"] * float("nan")
        return terms

    def weight(self, term):
        return self.objective.weight(term)


def train(learners, batches, teacher, num_steps=NUM_STEPS, progress=None, record=()):
    history, recorded = [], modules_named(teacher, record)
    with torch.no_grad():
        passes = {"teacher_pass": lambda batch: signals_of(teacher, batch, recorded=recorded)}
    train_cohort(
        learners,
        batches,
        LoopSettings(num_steps=num_steps, log_every_steps=2),
        device=CPU,
        progress=progress or Progress(),
        hooks=History(history),
        **passes,
    )
    return history


def weights_of(learner):
    return {name: tensor.double().flatten()[:50].tolist() for name, tensor in learner.engine.whole_state().items()}


def main():
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)})
    torch.set_num_threads(1)
    keep_memory()
    store = torch.distributed.FileStore(str(folder / f"store-{world_size}"), world_size)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    teacher, batches = teacher_and_batches(rank, world_size)
    first = next(teacher_and_batches(0, 1)[1].steps(0))[0]
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    learner(teacher, "8-8-8", "first", ClusterConfig(precision="fp32")).engine.close()  # imports DeepSpeed
    gc.freeze()  # what was imported is not searched by the collections of 50 engines that end
    seen = {}
    engines = {"torch": ClusterConfig(engine="torch", precision="fp32")}
    engines |= {f"zero{stage}": ClusterConfig(zero_stage=stage, precision="fp32") for stage in (0, 1, 2, 3)}
    for name, cluster in engines.items():
        alone = learner(teacher, "32-32-32", "a", cluster)
        losses = [step["a"] for step in train([alone], batches, teacher)]
        seen[name] = {"losses": losses, "norms": alone.listener.norms, "weights": weights_of(alone)}
        alone.engine.close()
        later = learner(teacher, "32-32-32", "later", cluster, **LATER)
        history = train([later], batches, teacher, record=later.objective.teacher_modules)
        seen[name]["later"] = {"losses": [step["later"] for step in history], "norms": later.listener.norms}
        later.engine.close()
        published = learner(teacher, "32-32-32", "published", cluster, train_config=PUBLISHED)
        losses = [step["published"] for step in train([published], batches, teacher)]
        seen[name]["published"] = {"losses": losses, "weights": weights_of(published)}
        published.engine.close()
        names = {"a": "32-32-32", "b": "8-8-8", "c": "2-2-8", "d": "4-4-8"}
        cohort = [learner(teacher, scheme, key, cluster) for key, scheme in names.items()]
        poisoned = learner(teacher, "8-8-8", "poisoned", cluster, poison_rank=world_size - 1)
        history = train([*cohort, poisoned], batches, teacher)
        seen[name]["cohort"] = {key: [step[key] for step in history] for key in names}
        special = [learner(teacher, "4-4-8", "scheduled", cluster, schedule=["0.3=32-32-32", "0.6=8-8-8"])]
        special.append(gated_learner(teacher, cluster))
        special.append(learner(teacher, "32-32-8", "elastic", cluster, settings=ELASTIC, first=first))
        special.append(
            learner(teacher, "8-8-8", "published", cluster, settings=AS_PUBLISHED, train_config=PUBLISHED, dropout=0.1)
        )
        history = train(special, batches, teacher)
        seen[name]["special"] = {one.name: [step[one.name] for step in history] for one in special}
        seen[name]["gates"] = [v for k, v in weights_of(special[1]).items() if "head_gates" in k]
        for one in special:
            one.engine.close()
        seen[name]["failure"] = poisoned.listener.failure
        for one in (*cohort, poisoned):
            one.engine.close()
        seen[name]["resumed"], seen[name]["straight"] = resumed(
            teacher, batches, cluster, folder / name / str(world_size)
        )
    for name in ("torch", "zero0", "zero2", "zero3"):
        seen[f"{name} bf16"] = bf16(teacher, batches, replace(engines[name], precision="bf16"))
    seen["teacher_unchanged"] = all(torch.equal(before[k], v) for k, v in teacher.state_dict().items())
    if rank == 0:
        (folder / f"seen-{world_size}.json").write_text(json.dumps(seen))
    torch.distributed.barrier()


def bf16(teacher, batches, cluster):
    """Losses and gradient norms of a quantized student in the precision of the default, and what its steps leave."""
    student = learner(teacher, "2-2-8", "a", cluster)
    losses = [step["a"] for step in train([student], batches, teacher)]
    norms, progress, tensors = student.listener.norms, Progress(), []
    for end in (10, 25):
        train([student], batches, teacher, num_steps=end, progress=progress)
        gc.collect()
        tensors.append(sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects()))
    student.engine.close()
    return {"losses": losses, "norms": norms[:3], "tensors": tensors}


def resumed(teacher, batches, cluster, folder):
    """Weights after a run that was checkpointed and restored halfway, and after one that was not (with dropout).

    There was a later checkpoint, too, of which a bit has turned in what the last rank wrote.
    """

    def make():
        kinds = (("4-4-8", TRAIN), ("2-2-8", TRAIN), ("8-8-8", PUBLISHED))
        return [learner(teacher, kind, kind, cluster, dropout=0.1, train_config=config) for kind, config in kinds]

    straight = make()
    train(straight, batches, teacher)
    first, progress = make(), Progress()
    train(first, batches, teacher, num_steps=SPLIT_AT, progress=progress)
    Checkpointer(folder).save(first, progress)
    train(first, batches, teacher, num_steps=SPLIT_AT + 1, progress=progress)
    Checkpointer(folder).save(first, progress)
    if torch.distributed.get_rank() == 0:
        newest = folder / f"step-{SPLIT_AT + 1:08d}" / "learner-1"
        damage(sorted(newest.rglob("*.pt"))[-1], "flipped")
    torch.distributed.barrier()
    second = make()
    restored = Checkpointer(folder).restore(second)
    assert restored.step == SPLIT_AT and [path.name for path in folder.glob("damaged-*")]
    train(second, batches, teacher, progress=restored)
    return [weights_of(one) for one in second], [weights_of(one) for one in straight]


if __name__ == "__main__":
    main()
