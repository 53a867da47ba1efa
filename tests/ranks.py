"""Worker scripts in processes of their own, one a rank: all of them end when one fails, and when their time is over."""

import contextlib
import json
import os
import subprocess
import sys
import time

import numpy as np
from repository import ROOT


def mean_difference(one, other):
    """Of weights by name; without biases of key projections: their gradient is rounding alone, which Adam blows up."""
    names = [name for name in one if not name.endswith("k_proj.bias")]
    return np.mean([np.abs(np.subtract(one[name], other[name])).mean() for name in names])


class FailedRanksError(AssertionError):
    """A rank failed, or took too long; what the ranks printed."""


def seen_by_rank_0(script, world_size, folder, timeout_seconds=400):
    """Run `script RANK WORLD_SIZE FOLDER` as every rank; what rank 0 wrote to `folder/seen-<world size>.json`."""
    run_ranks(script, world_size, folder, timeout_seconds)
    return json.loads((folder / f"seen-{world_size}.json").read_text())


def run_ranks(script, world_size, folder, timeout_seconds):
    """Until all ranks have ended well.

    A rank whose partner has died would wait for it in a collective, so the first failure ends the others. They print
    into files: a rank that waits for somebody to read its pipe is a rank that the others wait for.

    Raises:
        FailedRanksError: a rank failed, or they took longer than `timeout_seconds`.
    """
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    printed = [folder / f"printed-{world_size}-{rank}.txt" for rank in range(world_size)]
    processes, until = [], time.monotonic() + timeout_seconds
    with contextlib.ExitStack() as stack:
        for rank, path in enumerate(printed):
            file = stack.enter_context(path.open("w"))
            arguments = [sys.executable, str(script), str(rank), str(world_size), str(folder)]
            processes.append(subprocess.Popen(arguments, env=environment, stdout=file, stderr=subprocess.STDOUT))
            stack.callback(_end, processes[-1])
        while any(codes := [process.poll() for process in processes]) or None in codes:
            late = time.monotonic() > until
            if late or any(codes):
                said = "\n".join(f"rank {rank}: {path.read_text()[-2000:]}" for rank, path in enumerate(printed))
                raise FailedRanksError(f"exit codes {codes}{' (out of time)' if late else ''} of {script}\n{said}")
            time.sleep(0.05)


def _end(process):
    process.kill()
    process.wait()
