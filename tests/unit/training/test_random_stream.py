"""A random stream of one's own: nobody disturbs it and it disturbs nobody."""

import pytest
import torch

from pipeline.training.random_stream import RandomStream

CPU = torch.device("cpu")


def draws(stream: RandomStream, num: int) -> list[float]:
    values = []
    for _ in range(num):
        with stream:
            values.append(torch.rand(()).item())
    return values


def test_a_stream_does_not_depend_on_draws_outside_or_in_other_streams():
    """So a student's dropout does not depend on its company."""
    alone = draws(RandomStream(7, CPU), 4)
    stream, other = RandomStream(7, CPU), RandomStream(8, CPU)
    together = []
    for _ in range(4):
        torch.rand(5)
        together += draws(stream, 1)
        draws(other, 3)
    assert together == alone


def test_the_outside_does_not_notice_a_stream():
    """Neither its making nor its draws."""
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    stream = RandomStream(7, CPU)
    first = torch.rand(2)
    draws(stream, 5)
    assert torch.equal(torch.cat([first, torch.rand(2)]), expected)


def test_an_exception_inside_puts_the_outside_back():
    """A failing student leaves the generators as they were."""
    torch.manual_seed(3)
    expected, stream = torch.get_rng_state(), RandomStream(7, CPU)
    with pytest.raises(RuntimeError), stream:
        torch.rand(3)
        raise RuntimeError
    assert torch.equal(torch.get_rng_state(), expected)


def test_a_restored_stream_continues_where_its_state_was_taken():
    """A resumed run draws the numbers the first one would have drawn."""
    stream, resumed = RandomStream(7, CPU), RandomStream(0, CPU)
    draws(stream, 3)
    state = [tensor.clone() for tensor in stream.state()]
    expected = draws(stream, 3)
    resumed.restore(state)
    assert draws(resumed, 3) == expected


def test_different_seeds_are_different_streams():
    """Ranks drop different units."""
    assert draws(RandomStream(1, CPU), 3) != draws(RandomStream(2, CPU), 3)


def test_a_stream_that_restarts_depends_on_its_seed_on_rank_and_step():
    """Each gives other draws, always the same ones; nobody outside notices."""
    torch.manual_seed(1)
    before, seen = torch.get_rng_state(), []
    for seed, rank, step in [(7, 0, 4), (8, 0, 4), (7, 1, 4), (7, 0, 5), (7, 0, 4)]:
        stream = RandomStream(seed, CPU)
        stream.restart(rank, step)
        seen.append(draws(stream, 3))
    assert seen[0] == seen[-1] and len(set(map(tuple, seen))) == 4
    assert torch.equal(torch.get_rng_state(), before)
    assert draws(RandomStream(7, CPU), 3) not in seen
