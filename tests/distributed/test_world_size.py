"""Laws 8, 9, 10: engines, ranks and company change nothing; a killed run continues bit for bit (gloo, CPU)."""

import numpy as np
import pytest
from ranks import mean_difference

ENGINES = ["torch", "zero0", "zero1", "zero2", "zero3"]


@pytest.fixture(scope="module")
def seen(run_ranks):
    """What `worker.py` saw with one and with two ranks."""
    return run_ranks("worker.py")


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_and_world_size_gives_the_losses_of_plain_torch(seen, engine, world_size):
    """ZeRO 0-3 on one and two ranks follow plain PyTorch on one rank."""
    reference, run = seen[1]["torch"], seen[world_size][engine]
    np.testing.assert_allclose(run["losses"], reference["losses"], rtol=2e-5)
    # Adam and clipping would hide gradients of another scale.
    np.testing.assert_allclose(run["norms"], reference["norms"], rtol=2e-4)
    assert mean_difference(run["weights"], reference["weights"]) < 1e-7


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_published_optimiser_follows_plain_torch_too(seen, engine, world_size):
    """Its moments and its groups of decaying weights are sharded, too; it leaves other weights than ours."""
    reference, run = seen[1]["torch"]["published"], seen[world_size][engine]["published"]
    np.testing.assert_allclose(run["losses"], reference["losses"], rtol=2e-5)
    assert mean_difference(run["weights"], reference["weights"]) < 1e-7
    assert mean_difference(run["weights"], seen[1]["torch"]["weights"]) > 1e-5


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_terms_that_are_off_by_default_follow_plain_torch_too(seen, engine, world_size):
    """Recorded queries, keys and values carry gradients through sharded modules."""
    reference, run = seen[1]["torch"]["later"], seen[world_size][engine]["later"]
    np.testing.assert_allclose(run["losses"], reference["losses"], rtol=2e-5)
    np.testing.assert_allclose(run["norms"], reference["norms"], rtol=2e-4)


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_scheduled_bits_and_gates_follow_plain_torch(seen, engine, world_size):
    """Learned scales, of activations or waiting for their phase, and gates with their penalty are sharded, too."""
    reference, run = seen[world_size]["torch"], seen[world_size][engine]
    np.testing.assert_allclose(run["special"]["gated"], reference["special"]["gated"], rtol=2e-5)
    np.testing.assert_allclose(run["special"]["published"], reference["special"]["published"], rtol=2e-3)
    scheduled = seen[1]["torch"]["special"]["scheduled"]  # also across world sizes: the scale waits alike
    np.testing.assert_allclose(run["special"]["scheduled"], scheduled, rtol=2e-3)
    # The gradient of an activation's scale is a sum of rounding errors, whose signs turn at ties: 0.0024 was seen.
    np.testing.assert_allclose(run["special"]["elastic"], seen[1]["torch"]["special"]["elastic"], rtol=1e-2)
    np.testing.assert_allclose(run["gates"], reference["gates"], rtol=1e-3)
    assert np.ptp(run["gates"]) > 1e-3


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("engine", ["torch", "zero0", "zero2", "zero3"])
def test_bf16_follows_plain_torch_in_bf16_and_leaves_nothing_behind(seen, engine, world_size):
    """The default precision, quantized: losses and norms as near as bf16 allows; later steps leave no tensors."""
    reference, run = seen[1]["torch bf16"], seen[world_size][f"{engine} bf16"]
    np.testing.assert_allclose(run["losses"], reference["losses"], rtol=2e-2)
    np.testing.assert_allclose(run["norms"], reference["norms"], rtol=0.1)
    after_10, after_25 = run["tensors"]
    assert after_25 <= after_10


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_company_changes_nothing(seen, engine, world_size):
    """A student trained in a cohort of five has exactly the losses it has alone."""
    run = seen[world_size][engine]
    assert run["cohort"]["a"] == run["losses"]


@pytest.mark.parametrize("student", ["b", "c", "d"])
@pytest.mark.parametrize("engine", ENGINES)
def test_two_ranks_train_quantized_students_like_one(seen, engine, student):
    """Rounding may flip where sums differ in the last bit, so quantized losses agree to a thousandth."""
    one, two = (seen[size][engine]["cohort"][student] for size in (1, 2))
    np.testing.assert_allclose(two, one, rtol=2e-3)


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_that_is_not_finite_on_one_rank_fails_the_student_on_all(seen, engine, world_size):
    """The poisoned student leaves before its optimiser step, with step and loss term; the others went on."""
    assert "non-finite logits_loss at optimiser step" in seen[world_size][engine]["failure"]


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_restored_cohort_continues_bit_for_bit(seen, engine, world_size):
    """k steps, checkpoint, fresh engines, the rest: the weights of an undisturbed run, dropout included."""
    run = seen[world_size][engine]
    assert run["resumed"] == run["straight"]


@pytest.mark.parametrize("world_size", [1, 2])
def test_the_teacher_never_changes(seen, world_size):
    """Not one bit of the teacher moved through all of the above."""
    assert seen[world_size]["teacher_unchanged"]
