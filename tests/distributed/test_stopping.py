"""A request that rank 0 alone knows of stops all ranks before the same step, and costs no bit of what is trained."""

import pytest


@pytest.fixture(scope="module")
def seen(run_ranks):
    """What `stopping_worker.py` saw with one and with two ranks."""
    return run_ranks("stopping_worker.py")


@pytest.mark.parametrize("world_size", [1, 2])
def test_all_ranks_leave_together_and_go_on_as_if_nothing_had_been(seen, world_size):
    """Their worker's call ends as if it were done, so that Ray Train restarts nobody; the checkpoint says where."""
    found = seen[world_size]
    assert (found["ended"], found["step"], found["trained"]) == ([], 3, True)
    assert found["resumed"] == found["straight"]
