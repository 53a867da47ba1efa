"""Training goes on from any checkpoint by another engine and on another number of ranks (gloo, CPU)."""

from pathlib import Path

import numpy as np
import pytest
from ranks import mean_difference, seen_by_rank_0

NUM_STEPS, CHAIN = 5, {4: 1, 2: 3}  # as `elastic_worker.py` has them
CHAINED = ["torch", "zero2", "zero3"]
OTHER = {"torch": "zero2", "zero0": "zero3", "zero1": "torch", "zero2": "zero0", "zero3": "zero1"}
UNUSED = "unused.weight"
PAIRS = [("with_two", 3, engine, engine) for engine in OTHER]
PAIRS += [("with_one_again", 4, engine, now) for engine, other in OTHER.items() for now in (engine, other)]
# Rounding of quantized weights may flip where sums differ in the last bit.
TOLERANCE = {"plain": 2e-5, "published": 2e-5, "scheduled": 2e-3}


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What `elastic_worker.py` saw, by the name of what a world does."""
    script = Path(__file__).with_name("elastic_worker.py")
    return seen_by_rank_0(script, 1, tmp_path_factory.mktemp("elastic"))


def check(run, straight, first, last=NUM_STEPS):
    """The losses of these steps, and the weights after them where they are the last."""
    assert run["first"] == first
    for name, losses in run["losses"].items():
        np.testing.assert_allclose(losses, straight["losses"][name][first:last], rtol=TOLERANCE[name])
        if last == NUM_STEPS and name != "scheduled":
            assert mean_difference(run["weights"][name], straight["weights"][name]) < 1e-7


@pytest.mark.parametrize(("world", "first", "engine", "now"), PAIRS)
def test_a_cohort_goes_on_under_another_engine_and_number_of_ranks(seen, world, first, engine, now):
    """Two ranks after one, and one again after these: losses and weights are those of an undisturbed rank."""
    run = seen[world][f"{engine} {now}"]
    check(run, seen["with_one"]["torch"], first)
    assert all(run["is_same"]), "all values, moments and steps are those of the checkpoint, bit for bit"


@pytest.mark.parametrize("engine", CHAINED)
def test_four_then_two_then_three_ranks_train_like_one(seen, engine):
    """A chain of checkpoints, each read by other ranks than those that wrote it."""
    straight = seen["with_one"]["torch"]
    check(seen["with_four"][engine], straight, 0, CHAIN[4])
    check(seen["with_two"][f"chain {engine}"], straight, CHAIN[4], CHAIN[2])
    check(seen["with_three"][engine], straight, CHAIN[2])
    assert all(seen["with_two"][f"chain {engine}"]["is_same"]) and all(seen["with_three"][engine]["is_same"])


@pytest.mark.parametrize("engine", list(OTHER))
def test_a_parameter_that_nobody_uses_is_trained_alike_by_all(seen, engine):
    """It decays and counts steps on one rank and under plain PyTorch, too; what is frozen stays."""
    straight, run = (seen["with_one"][one]["weights"] for one in ("torch", engine))
    for name in ("plain", "published"):
        np.testing.assert_allclose(run[name][UNUSED], straight[name][UNUSED], rtol=1e-6)
        frozen = "model.encoder.embed_positions.weight"
        assert run[name][frozen] == straight[name][frozen]
    assert max(run["published"][UNUSED]) < 1 - 1e-4 and set(run["plain"][UNUSED]) == {1.0}, "one of them decays"


def test_a_damaged_part_of_other_ranks_leads_to_the_checkpoint_before(seen):
    """Written by four ranks of ZeRO 3, read by one of plain PyTorch, while that of two ranks has lost its end."""
    run = seen["with_one_again"]["damaged"]
    check(run, seen["with_one"]["torch"], CHAIN[4])
    assert all(run["is_same"])
