"""Run by test_elastic.py: cohorts that go on from checkpoints of other engines and other numbers of ranks.

usage: python elastic_worker.py RANK WORLD_SIZE FOLDER

This one process imports once and forks the ranks of one world after the other.
"""

import ctypes
import gc
import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import sys
from pathlib import Path

import deepspeed  # noqa: F401  (once for all ranks)
import torch
from worker import CPU, PUBLISHED, learner, teacher_and_batches, train, weights_of

from pipeline.config.sections.cluster import ClusterConfig
from pipeline.training import deepspeed_engine
from pipeline.training.allocator import keep_memory
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.loop import Progress
from pipeline.training.tensor_states import SavedStates

# The first step of learned scales is the last one; learning rates are those of `worker.py`.
NUM_STEPS, SAVED_AT, AGAIN_AT = 5, 3, 4  # by one rank, then by two
CHAIN = {4: 1, 2: 3}  # ranks -> the step after which the next world goes on
ENGINES = {"torch": ClusterConfig(engine="torch", precision="fp32")}
ENGINES |= {f"zero{stage}": ClusterConfig(zero_stage=stage, precision="fp32") for stage in (0, 1, 2, 3)}
OTHER = {"torch": "zero2", "zero0": "zero3", "zero1": "torch", "zero2": "zero0", "zero3": "zero1"}
CHAINED = ("torch", "zero2", "zero3")


def changed(student):
    """A table that is frozen, and a matrix that nobody uses, of a size that no number of ranks divides."""
    student.model.encoder.embed_positions.weight.requires_grad_(False)
    student.unused = torch.nn.Linear(7, 1, bias=False)
    torch.nn.init.ones_(student.unused.weight)


def cohort(teacher, engine):
    """Both optimisers, and scales that are learned from a later step on."""
    cluster = ENGINES[engine]
    return [
        learner(teacher, "32-32-32", "plain", cluster, change=changed),
        learner(teacher, "32-32-32", "published", cluster, train_config=PUBLISHED, change=changed),
        learner(teacher, "4-4-8", "scheduled", cluster, schedule=["0.3=32-32-32", "0.6=8-8-8"]),
    ]


def trained(world, engine, source, until, target=None, saved_at=None):
    """Losses and weights of a cohort that goes on from a checkpoint, or begins, and may leave one, last or before."""
    teacher, batches = world
    learners, progress, is_same = cohort(teacher, engine), Progress(), []
    if source is not None:
        progress = Checkpointer(source).restore(learners)
        assert progress.step > 0, f"nothing was restored from {source}"
        step = source / f"step-{progress.step:08d}"
        is_same = [given(one) == saved(step / f"learner-{index}") for index, one in enumerate(learners)]
    first = progress.step
    history = []
    if target is not None:
        history += train(learners, batches, teacher, num_steps=saved_at or until, progress=progress)
        Checkpointer(target).save(learners, progress)
    history += train(learners, batches, teacher, num_steps=until, progress=progress)
    seen = {
        "first": first,
        "is_same": is_same,
        "losses": {one.name: [step[one.name] for step in history] for one in learners},
        "weights": {one.name: weights_of(one) for one in learners},
    }
    for one in learners:
        one.engine.close()
    return seen


def given(one):
    """All that an engine gives, to compare bit for bit."""
    return {name: plain(state) for name, state in one.engine.states()}


def saved(folder):
    """The same of what lies in a folder."""
    return {name: plain(state) for name, state in SavedStates(folder).states.items()}


def plain(state):
    moments = {name: tensor.numpy().tobytes() for name, tensor in state.moments.items()}
    return state.value.numpy().tobytes(), moments, dict(state.numbers)


def with_one(world, folder):
    """Undisturbed, but for what they leave on the way, from which two ranks go on."""
    return {engine: trained(world, engine, None, NUM_STEPS, folder / "by-1" / engine, SAVED_AT) for engine in ENGINES}


def with_four(world, folder):
    """The first part of the chain."""
    return {engine: trained(world, engine, None, CHAIN[4], folder / "by-4" / engine) for engine in CHAINED}


def with_two(world, folder):
    """What one rank has left, and the second part of the chain; what one rank goes on from."""
    seen = {}
    for engine in ENGINES:
        source, target = folder / "by-1" / engine, folder / "by-2" / engine
        seen[f"{engine} {engine}"] = trained(world, engine, source, NUM_STEPS, target, AGAIN_AT)
    for engine in CHAINED:
        source, target = folder / "by-4" / engine, folder / "by-4-2" / engine
        seen[f"chain {engine}"] = trained(world, engine, source, CHAIN[2], target)
    return seen


def with_three(world, folder):
    """The last part of the chain."""
    return {engine: trained(world, engine, folder / "by-4-2" / engine, NUM_STEPS) for engine in CHAINED}


def with_one_again(world, folder):
    """What two ranks have left; where a part is damaged, what lies before."""
    seen = {}
    for engine, other in OTHER.items():
        for now in (engine, other):
            seen[f"{engine} {now}"] = trained(world, now, folder / "by-2" / engine, NUM_STEPS)
    both = folder / "both"
    shutil.copytree(folder / "by-4-2" / "zero3", both)
    shutil.copytree(folder / "by-4" / "zero3", both, dirs_exist_ok=True)
    part = both / f"step-{CHAIN[2]:08d}" / "learner-1" / "part-1.pt"
    part.write_bytes(part.read_bytes()[:-9])
    seen["damaged"] = trained(world, "torch", both, NUM_STEPS)
    return seen


WORLDS = [(1, with_one), (4, with_four), (2, with_two), (3, with_three), (1, with_one_again)]


def run_rank(number, rank, world_size, call, folder):
    """One rank of one world; it ends with the process that has forked it."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)})
    store = torch.distributed.FileStore(str(folder / f"store-{number}"), world_size)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    seen = call(teacher_and_batches(rank, world_size), folder)
    if rank == 0:
        (folder / f"world-{number}.json").write_text(json.dumps(seen))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def main():
    folder = Path(sys.argv[3])
    os.environ["DS_ACCELERATOR"] = CPU.type
    torch.set_num_threads(1)
    keep_memory()
    deepspeed_engine.BUCKET_ELEMENTS = 10_000  # the pages of larger ones would be most of the work
    gc.freeze()  # what was imported is not searched by the collections of engines that end
    context, seen = multiprocessing.get_context("fork"), {}
    for number, (world_size, call) in enumerate(WORLDS):
        ranks = [
            context.Process(target=run_rank, args=(number, rank, world_size, call, folder))
            for rank in range(world_size)
        ]
        for process in ranks:
            process.start()
        while left := [process.sentinel for process in ranks if process.is_alive()]:
            multiprocessing.connection.wait(left)
            if any(process.exitcode not in (None, 0) for process in ranks):
                break  # the others wait for it; they end with this process
        if any(process.exitcode for process in ranks):
            raise SystemExit(f"a rank of {call.__name__} failed")
        seen[call.__name__] = json.loads((folder / f"world-{number}.json").read_text())
    (folder / "seen-1.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
