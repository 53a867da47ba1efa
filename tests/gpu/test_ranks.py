"""Ranks on one GPU each: what one writes the others find, however long it takes; sharded models come together."""

from pathlib import Path

import pytest
import torch
from ranks import seen_by_rank_0

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.fixture(scope="module", params=[1, 2])
def seen(request, tmp_path_factory):
    """(world size, what `ranks_worker.py` saw)."""
    if request.param > torch.cuda.device_count():
        pytest.skip(f"needs {request.param} GPUs")
    script = Path(__file__).with_name("ranks_worker.py")
    return request.param, seen_by_rank_0(script, request.param, tmp_path_factory.mktemp("ranks"), timeout_seconds=120)


def test_a_late_rank_0_is_waited_for(seen):
    """Longer than NCCL's own timeout, and on the host: its file is there for all when they go on."""
    world_size, found = seen
    assert found["file_is_there"]
    assert found["alone"] == ["alone", *[None] * (world_size - 1)]


@pytest.mark.parametrize("stage", [2, 3])
def test_a_sharded_student_is_whole_on_rank_0_and_in_every_replica(seen, stage):
    """Each tensor once; weights quantized once in a pass; a checkpoint of all ranks is read again."""
    world_size, found = seen
    first, *others = found[f"zero{stage}"]["ranks"]
    assert first["same"] and first["num_storages"] < first["num_names"]
    assert len(others) == world_size - 1 and all(other["num_names"] == 0 for other in others)
    assert all(rank["copied"] for rank in found[f"zero{stage}"]["ranks"])
    counts = found[f"zero{stage}"]["quantized"]
    assert counts["(16, 32)"] == counts["(32, 16)"] == 4
    assert found[f"zero{stage}"]["restored"] == 3
