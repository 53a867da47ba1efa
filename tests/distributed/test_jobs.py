"""Laws 8 and 9 for pre-training and Agora: two ranks and DeepSpeed do what one process does; a killed one goes on."""

import numpy as np
import pytest

KINDS = ["pretrain", "agora"]


@pytest.fixture(scope="module")
def seen(run_ranks):
    """What `jobs_worker.py` saw with one and with two ranks."""
    return run_ranks("jobs_worker.py")


def numbers(found):
    """All numbers of what was seen, in a fixed order."""
    if isinstance(found, dict):
        return [number for name in sorted(found) for number in numbers(found[name])]
    return [number for one in found for number in numbers(one)] if isinstance(found, list) else [found]


@pytest.mark.parametrize("kind", KINDS)
def test_two_ranks_of_deepspeed_leave_what_one_process_of_plain_torch_leaves(seen, kind):
    """Losses and gradient norms of every step, held-out losses or scores, and weights, all but for rounding."""
    reference, found = seen[1][kind], seen[2][kind]
    np.testing.assert_allclose(numbers(found["steps"]), numbers(reference["steps"]), rtol=2e-4)
    np.testing.assert_allclose(numbers(found["losses"]), numbers(reference["losses"]), rtol=2e-6)
    np.testing.assert_allclose(numbers(found["weights"]), numbers(reference["weights"]), atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_one_goes_on_to_the_same_end(seen, kind):
    """Two ranks of DeepSpeed, bit for bit; plain PyTorch is killed in whole jobs, in tests/integration."""
    assert seen[2][f"{kind} resumed"] == seen[2][kind]


def test_something_was_learned(seen):
    """Else equality would prove nothing: the models differ, and their losses fall."""
    losses, weights = (seen[1]["pretrain"][name] for name in ("losses", "weights"))
    assert all(curve[-1] < curve[0] for curve in losses.values())
    assert numbers(weights["distilled"]) != numbers(weights["alone"])
    one, other = seen[1]["agora"]["weights"]
    assert numbers(one) != numbers(other)
