"""Run by test_waiting.py in one or two processes whose collectives return before they have happened, as NCCL's do.

usage: python waiting_worker.py RANK WORLD_SIZE FOLDER
"""

import json
import sys
import threading
import time
from pathlib import Path

import torch
import torch.distributed as dist

from pipeline.training.collective import _host_group, alone, barrier, gather_objects

MOMENT_SECONDS = 1.0


def waits_for(call, come):
    """Whether a call still waits after a moment, and comes to its end once `come` was called."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(MOMENT_SECONDS)
    waited = thread.is_alive()
    come()
    thread.join()
    return waited


def main():
    rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    store = dist.FileStore(str(folder / f"store-{world_size}"), world_size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world_size)
    barrier()
    dist.all_reduce = lambda *_, **__: None  # the host hears of no end
    seen, signal = {}, folder / f"signal-{world_size}"

    def until_called():
        while not signal.is_file():
            time.sleep(0.01)
        signal.unlink()

    for name in ("barrier", "alone"):
        written, result = folder / f"written-{name}-{world_size}", folder / f"result-{name}-{world_size}"
        if rank == 0:
            if world_size > 1:
                until_called()
            if name == "barrier":
                written.write_text("")
                barrier()
            else:
                given = alone(lambda written=written: written.write_text("x"))
        elif name == "barrier":
            result.write_text(str(waits_for(barrier, signal.touch) and written.is_file()))
        else:
            answers = []
            waited = waits_for(lambda answers=answers: answers.append(alone(lambda: 1 / 0)), signal.touch)
            result.write_text(str(waited and written.is_file() and answers == [None]))
        gather_objects(None)
        seen[name] = result.read_text() if result.is_file() else "True"
    seen["gathered"] = gather_objects(rank)
    if world_size > 1:
        group = _host_group(dist.group.WORLD)
        seen["timeout"] = group._get_backend(torch.device("cpu")).options._timeout.total_seconds()
    if rank == 0:
        seen["given"] = given
        (folder / f"seen-{world_size}.json").write_text(json.dumps(seen))
    gather_objects(None)


if __name__ == "__main__":
    main()
