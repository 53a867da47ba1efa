"""Worker scripts of this folder in processes of their own, one a rank (gloo, CPU)."""

from pathlib import Path

import pytest
from ranks import seen_by_rank_0


@pytest.fixture(scope="session")
def run_ranks(tmp_path_factory):
    """`run_ranks(script)`: world size (1 and 2) -> what rank 0 of `script` wrote to `seen-<world size>.json`."""

    def run(script):
        folder = tmp_path_factory.mktemp("ranks")
        return {size: seen_by_rank_0(Path(__file__).with_name(script), size, folder) for size in (1, 2)}

    return run
