"""Run by test_ranks.py in one process a GPU: what only NCCL, or two devices, can show.

usage: python ranks_worker.py RANK WORLD_SIZE FOLDER
"""

import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parents[1] / "distributed"))

from sharded_worker import quantized_in_one_pass, student_of_t5, whole

from pipeline.config.sections.cluster import ClusterConfig
from pipeline.config.sections.training import TrainConfig
from pipeline.stages.training import make_engine, worker_device
from pipeline.training.checkpoint import Checkpointer
from pipeline.training.collective import alone, barrier, gather_objects
from pipeline.training.loop import Learner, Progress
from pipeline.training.random_stream import RandomStream

START = timedelta(seconds=120)
LATE_SECONDS, NCCL_SECONDS = 8.0, 5.0  # rank 0 comes later than NCCL would wait for it


def main():
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)})
    device = worker_device(ClusterConfig(gpus_per_worker=1))
    store = dist.FileStore(str(folder / f"store-{world_size}"), world_size)
    dist.init_process_group("nccl", store=store, rank=rank, world_size=world_size, timeout=START)
    barrier()
    dist.distributed_c10d._set_pg_timeout(timedelta(seconds=NCCL_SECONDS))
    seen, written = {}, folder / f"written-{world_size}"
    if rank == 0:
        time.sleep(LATE_SECONDS)
        written.write_text("")
    barrier()
    seen["file_is_there"] = all(gather_objects(written.is_file()))
    answer = alone(lambda: time.sleep(LATE_SECONDS) or "alone")
    seen["alone"] = gather_objects(answer)
    dist.distributed_c10d._set_pg_timeout(START)
    for stage in (2, 3):
        cluster = ClusterConfig(zero_stage=stage, precision="bf16", gpus_per_worker=1, num_workers=world_size)
        student = student_of_t5().to(device)
        expected = {name: tensor.detach().cpu().clone() for name, tensor in student.state_dict().items()}
        engine = make_engine(student, TrainConfig(), cluster)
        seen[f"zero{stage}"] = {
            "ranks": gather_objects(whole(engine, expected, rank)),
            "quantized": quantized_in_one_pass(engine),
        }
        one = Learner(
            name="t5",
            engine=engine,
            objective=None,
            learning_rate=None,
            listener=None,
            random=RandomStream(rank, device),
        )
        checkpointer = Checkpointer(folder / f"checkpoints-{world_size}-{stage}")
        checkpointer.save([one], Progress(step=3))
        seen[f"zero{stage}"]["restored"] = checkpointer.restore([one]).step
        engine.close()
    if rank == 0:
        (folder / f"seen-{world_size}.json").write_text(json.dumps(seen))
    barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
