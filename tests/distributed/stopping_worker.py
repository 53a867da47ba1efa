"""Run by test_stopping.py in one or two processes: rank 0 alone hears of a request, and all ranks leave at one step.

usage: python stopping_worker.py RANK WORLD_SIZE FOLDER
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from worker import CPU, NUM_STEPS, TRAIN, learner, teacher_and_batches, weights_of

from pipeline.cluster import stop_files as module
from pipeline.cluster.ray_train import _call_logged
from pipeline.cluster.stop_files import StopFiles, stop_files
from pipeline.config.login import hand_over
from pipeline.config.sections.cluster import ClusterConfig
from pipeline.distillation.objective import signals_of
from pipeline.stages.training import train_with_checkpoints
from pipeline.training.checkpoint import read_progress
from pipeline.training.loop import NoHooks

STOP_AT = 3
EVERY = replace(TRAIN, checkpoint_every_steps=100)


class Asking(NoHooks):
    """The driver's part: asks the group to stop after a step, and has seen that it trains."""

    def __init__(self, files):
        self.files, self.has_trained = files, False

    def after_step(self, progress, losses):
        if progress.step == STOP_AT:
            self.has_trained = self.files.is_training()
            self.files.ask()


def main():
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    module.LOOK_SECONDS = 0.0
    store = dist.FileStore(str(folder / f"store-{world_size}"), world_size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    teacher, batches = teacher_and_batches(rank, world_size)
    cluster = ClusterConfig(engine="torch", precision="fp32")

    def train(where, hooks):
        cohort = [learner(teacher, scheme, scheme, cluster, dropout=0.1) for scheme in ("4-4-8", "2-2-8")]
        trained.append(cohort)
        train_with_checkpoints(
            cohort,
            batches,
            NUM_STEPS,
            EVERY,
            stage="cohort",
            folder=folder / f"{where}-{world_size}",
            device=CPU,
            teacher_pass=torch.no_grad()(lambda batch: signals_of(teacher, batch)),
            hooks=hooks,
        )
        ended.append(where)

    trained, ended = [], []
    with stop_files(folder / f"files-{world_size}") as files:
        # What the driver asks rank 0 hears; the files of the others are nobody's.
        mine = files if rank == 0 else StopFiles(going_on=folder / "none", training=folder / "none")
        hooks = Asking(files) if rank == 0 else NoHooks()
        _call_logged(lambda _: train("stopped", hooks), None, hand_over(), mine)
        seen = {"ended": list(ended), "step": read_progress(folder / f"stopped-{world_size}")["step"]}
        seen["trained"] = rank > 0 or (hooks.has_trained and not files.is_training())
    train("stopped", NoHooks())
    train("straight", NoHooks())
    _, resumed, straight = trained
    seen["resumed"], seen["straight"] = ([weights_of(one) for one in cohort] for cohort in (resumed, straight))
    if rank == 0:
        (folder / f"seen-{world_size}.json").write_text(json.dumps(seen))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
