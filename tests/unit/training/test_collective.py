"""What ranks do together."""

import pytest

from pipeline.training import collective


@pytest.mark.parametrize("num_items", [0, 1, 2, 7])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_rank_answers_its_share_and_all_get_everything_in_order(monkeypatch, num_items, world_size):
    """Whatever the number of ranks; who has no share is not asked."""
    items, shares = list(range(num_items)), []

    def call(share):
        shares.append(share)
        return [f"answer {item}" for item in share]

    parts = []
    monkeypatch.setattr(collective, "world_size", lambda: world_size)
    for number in range(world_size):  # what each of them hands in
        monkeypatch.setattr(collective, "rank", lambda number=number: number)
        others = [[None] * num_items] * world_size
        monkeypatch.setattr(collective, "gather_objects", lambda mine, others=others: parts.append(mine) or others)
        collective.in_shares(items, call)
    monkeypatch.setattr(collective, "gather_objects", lambda _: parts)
    assert collective.in_shares(items, call) == [f"answer {item}" for item in items]
    assert sorted(item for share in shares[: min(num_items, world_size)] for item in share) == items
    assert [] not in shares
