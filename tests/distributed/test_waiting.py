"""What one rank writes or says is there when the others go on, however long it takes and whatever collectives do."""

import pytest

from pipeline.tracking.retry import RETRY_SECONDS
from pipeline.training.collective import WAIT_SECONDS


@pytest.fixture(scope="module")
def seen(run_ranks):
    """What `waiting_worker.py` saw with one and with two ranks."""
    return run_ranks("waiting_worker.py")


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("name", ["barrier", "alone"])
def test_the_host_waits_though_collectives_return_at_once(seen, name, world_size):
    """NCCL's only make the device's stream wait: a rank would read a package that another is still writing."""
    assert seen[world_size][name] == "True"
    assert seen[world_size]["gathered"] == list(range(world_size))
    assert seen[world_size]["given"] == 1


def test_ranks_wait_longer_than_rank_0_may_for_mlflow(seen):
    """A run's start alone is a dozen calls, each with all the patience there is; a student's end is as many."""
    assert seen[2]["timeout"] == WAIT_SECONDS and seen[2]["one_group"]
    assert 100 * RETRY_SECONDS < WAIT_SECONDS
