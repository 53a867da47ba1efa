"""A model that engines took apart is put together on rank 0 alone, each tensor once; weights are quantized once."""

import pytest

ENGINES = ["torch", "zero0", "zero2", "zero3"]


@pytest.fixture(scope="module")
def seen(run_ranks):
    """What `sharded_worker.py` saw with one and with two ranks."""
    return run_ranks("sharded_worker.py")


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_rank_0_alone_holds_the_whole_state_and_tied_tables_once(seen, engine, world_size):
    """Whole and unchanged; the names of a tied table share it; the other ranks only take part."""
    run = seen[world_size][engine]
    first, *others = run["ranks"]
    assert (first["num_names"], first["num_storages"]) == (run["num_all"], run["num_distinct"])
    assert first["num_storages"] < first["num_names"] and first["same"]
    assert all(other["num_names"] == 0 for other in others) and len(others) == world_size - 1


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_replica_on_any_rank_gets_every_value(seen, engine, world_size):
    """Also where another rank has none."""
    assert all(rank["copied"] for rank in seen[world_size][engine]["ranks"])


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_weight_is_quantized_once_in_a_forward_pass(seen, engine, world_size):
    """T5 looks at the type of `wo.weight` before it is used; under ZeRO-3 each user of the tied table counts."""
    counts = seen[world_size][engine]["quantized"]
    assert counts["(16, 32)"] == counts["(32, 16)"] == 4  # two layers on either side
    assert counts["(61, 16)"] == (3 if engine == "zero3" else 1)
