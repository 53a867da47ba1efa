"""Worker scripts in processes of their own, one a rank (gloo, CPU)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def run_ranks(tmp_path_factory):
    """`run_ranks(script)`: world size (1 and 2) -> what rank 0 of `script` wrote to `seen-<world size>.json`."""

    def run(script):
        folder = tmp_path_factory.mktemp("ranks")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        path = str(Path(__file__).with_name(script))
        for world_size in (1, 2):
            processes = [
                subprocess.Popen(
                    [sys.executable, path, str(rank), str(world_size), str(folder)],
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                for rank in range(world_size)
            ]
            for process in processes:
                output, _ = process.communicate(timeout=400)
                assert process.returncode == 0, output[-4000:]
        return {size: json.loads((folder / f"seen-{size}.json").read_text()) for size in (1, 2)}

    return run
