"""Run by test_jobs.py in one or two processes: what the workers of pre-training and of Agora leave on tiny tasks.

usage: python jobs_worker.py RANK WORLD_SIZE FOLDER
"""

import json
import os
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_file
from torch.nn import functional

from pipeline.config.changes import with_sections
from pipeline.config.jobs.agora_finetune import AgoraJob
from pipeline.config.jobs.bort_pretrain import PretrainJob
from pipeline.config.load import load_config
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.models.load import load_teacher, teacher_config
from pipeline.stages import training
from pipeline.stages.agora import fit_candidates
from pipeline.stages.agora.fit_candidates import RESULT, Candidate, FitWork
from pipeline.stages.agora.plan import plan_agora
from pipeline.stages.evaluate import with_metric_tokenizer
from pipeline.stages.job import OpenedJob
from pipeline.stages.prepare_data import prepare_task
from pipeline.stages.pretrain import worker as pretrain_worker
from pipeline.stages.pretrain.cohorts import cohorts_of
from pipeline.stages.pretrain.curve import Curve
from pipeline.stages.pretrain.plan import plan_pretraining
from pipeline.stages.pretrain.results import CURVE
from pipeline.stages.pretrain.worker import PretrainWork
from pipeline.stages.teacher.fine_tune import TeacherResult
from pipeline.storage.layout import open_storage
from pipeline.tracking.run import NoOpRun
from pipeline.training.allocator import keep_memory
from pipeline.training.collective import barrier, gather_objects

NOUNS = ["river", "bird", "fish", "cloud", "tree", "stone", "hill", "road"]
COLOURS = ["red", "green", "blue", "white"]
KILLED_AT = 4
# By the number of ranks: both differences at once, as each start of a process takes many seconds.
ENGINES = {1: ClusterConfig(engine="torch", precision="fp32"), 2: ClusterConfig(zero_stage=2, precision="fp32")}
STUDENT = (
    "student={epochs: 3, max_steps: 5, batch_tokens: 256, dropout: 0.0, checkpoint_every_steps: 2, log_every_steps: 1}"
)
TEACHER_SHAPE = "model.architecture={d_model: 16, ffn_dim: 32, num_heads: 2, encoder_layers: 2, init_std: 0.2}"
COMMON = ["model=tiny_encoder", "model.vocab_size=320", "cluster=process", STUDENT, TEACHER_SHAPE]
PRETRAINING = [
    *("task=plain_text", "task.corpus.files={train: texts.txt}", "data={split_validation: 0.1, split_test: 0.1}"),
    *("task.packed=true", "task.max_source_tokens=24"),
    "pretraining.architecture={encoder_layers: 1, num_heads: 2, d_model: 8, ffn_dim: 16, max_positions: 32}",
    *("pretraining.validate_every_steps=2", "pretraining.relations=0.5"),
]
AGORA = [
    *("task=classification", "task.corpus.second_column=null", "agora.candidate={scheme: 32-32-32, depth: '1'}"),
    "agora.theta={learning_rates: [3e-3, 1e-2]}",
]


class Recorded(NoOpRun):
    """What is logged of a model's training, by key of its run."""

    seen: ClassVar[dict[str, list[list[float]]]] = {}

    def __init__(self, key):
        self.steps = self.seen.setdefault(key, [])

    def metrics(self, values, step):
        """Loss terms and gradient norms of optimiser steps; a model that goes on writes those that are done again."""
        if "gradient_norm" in values:
            names = sorted(name for name in values if name.endswith("_loss") or name == "gradient_norm")
            self.steps[step - 1 :] = [[values[name] for name in names]]


class KilledError(Exception):
    """In the place of a signal."""


def write_data(folder):
    """Lines of text, and a label for each of some."""
    draw = random.Random(0)
    lines = [f"the {draw.choice(COLOURS)} {draw.choice(NOUNS)} and a {draw.choice(COLOURS)} one" for _ in range(200)]
    (folder / "texts.txt").write_text("\n".join(lines))
    for number, split in enumerate(("train", "validation", "test")):
        rows = [{"text_a": line, "label": ["no", "yes"]["red" in line]} for line in lines[number::3]]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def opened(schema, words, folder):
    """A job as far as its workers need it, without a tracking server, and its teacher."""
    storage = open_storage(str(folder / schema.__name__))
    config = load_config(schema, [*COMMON, *words, f"data.root={folder}", f"storage.path={storage.root}"])
    config, task = prepare_task(config, storage, "scratch")
    config, tokenizer = with_metric_tokenizer(config, task, None), task.tokenizer()
    model_config = teacher_config(config.model, tokenizer, config.task, task.labels)
    teacher = folder / schema.__name__ / "teacher"
    load_teacher(config.model, tokenizer, config.task, 3, task.labels).save_pretrained(teacher)
    scores = {"size_bytes": 0, "validation": {}, "scores": {}, "run_id": None}
    job = OpenedJob(config=config, storage=storage, task=task, model_config=model_config)
    return job, TeacherResult(key="teacher", folder=str(teacher), **scores)


def pretrained(prepared, cluster, folder):
    """Losses on held-out text and weights of both models."""
    job, teacher = prepared
    plan = replace(plan_pretraining(job), folder=folder)
    plan = replace(plan, wanted=["distilled", "alone"])
    (cohort,) = cohorts_of(plan)
    work = PretrainWork(
        config=with_sections(job.config, cluster=cluster),
        task=job.task,
        teacher_result=teacher,
        start=plan.model,
        cohort=cohort,
        folder=folder,
        parent_run_id="",
    )
    pretrain_worker.pretrain_models(work)
    barrier()
    losses = {one.name: [point.loss for point in Curve(one.folder / CURVE).validated] for one in plan.models}
    steps = {one.name: list(Recorded.seen[one.key]) for one in plan.models}
    weights = {one.name: weights_of(one.folder / "model") for one in plan.models}
    return {"losses": losses, "steps": steps, "weights": weights}


def fitted(prepared, cluster, folder):
    """Scores on the development set and weights of both candidates."""
    job, teacher = prepared
    plan = plan_agora(job)
    candidates = [
        Candidate(plan=replace(plan.candidate(theta, []), folder=folder / str(theta)), train=plan.thetas[theta].train)
        for theta in (0, 1)
    ]
    work = FitWork(
        config=with_sections(job.config, cluster=cluster),
        task=job.task,
        name="round 1",
        teacher_result=teacher,
        start=None,
        candidates=candidates,
        training_tokens=Path(job.task.tokens_folder),
        already_done=frozenset(),
        is_contaminated=False,
        checkpoints=folder / "checkpoints" / "candidates",
        parent_run_id="",
    )
    fit_candidates.fit_candidates(work)
    barrier()
    scores = [json.loads((one.plan.folder / RESULT).read_text())["score"] for one in candidates]
    steps = [list(Recorded.seen[one.plan.key]) for one in candidates]
    return {"losses": scores, "steps": steps, "weights": [weights_of(one.plan.packed_folder) for one in candidates]}


def weights_of(folder):
    """Without biases of keys: their gradient is zero but for rounding, which Adam blows up."""
    tensors = load_file(folder / "model.safetensors")
    return {name: tensor.double().flatten()[:20].tolist() for name, tensor in tensors.items() if "key.bias" not in name}


def resumed(call, prepared, cluster, folder):
    """What a run leaves that was killed before it had written down its fourth step, and was started again."""
    after_step = training._ShownAndSaved.after_step

    def killed(hooks, progress, losses):
        if progress.step == KILLED_AT:
            raise KilledError
        after_step(hooks, progress, losses)

    training._ShownAndSaved.after_step = killed
    try:
        call(prepared, cluster, folder)
    except KilledError:
        pass
    finally:
        training._ShownAndSaved.after_step = after_step
    assert list(folder.glob("checkpoints/*/latest")), "nothing to go on from"
    return call(prepared, cluster, folder)


def main():
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]) / sys.argv[2]
    os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)})
    torch.set_num_threads(1)
    keep_memory()
    folder.mkdir(exist_ok=True)
    store = torch.distributed.FileStore(str(folder / "store"), world_size)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    functional.dropout = lambda values, *_, **__: values  # of attention maps, which no setting reaches; streams differ
    for module in (pretrain_worker, fit_candidates):
        module.start_run = lambda config, spec: Recorded(spec.key)  # no tracking server
    prepared = None
    if rank == 0:
        write_data(folder)
        prepared = opened(PretrainJob, PRETRAINING, folder), opened(AgoraJob, AGORA, folder)
    pretraining, agora = gather_objects(prepared)[0]
    seen, cluster = {}, replace(ENGINES[world_size], num_workers=world_size)
    for kind, call, job in (("pretrain", pretrained, pretraining), ("agora", fitted, agora)):
        seen[kind] = call(job, cluster, folder / kind)
        if world_size > 1:
            seen[f"{kind} resumed"] = resumed(call, job, cluster, folder / f"{kind}-killed")
    if rank == 0:
        (folder.parent / f"seen-{world_size}.json").write_text(json.dumps(seen))
    torch.distributed.barrier()


if __name__ == "__main__":
    main()
