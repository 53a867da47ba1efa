"""Batches: every example exactly once, the same steps for any number of ranks, within the token budget, resumable."""

import datasets
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.objectives import OBJECTIVES
from pipeline.data.batch import IGNORED_LABEL, collate
from pipeline.data.batches import BatchPlan, TrainingBatches, generation_batches
from pipeline.data.noise import noise_of

FEW = settings(max_examples=25, deadline=None, derandomize=True)
LENGTHS = st.lists(st.integers(2, 90), min_size=1, max_size=80)


def plan_of(lengths: list, num_ranks: int = 1, step: int = 120, micro: int = 100, seed: int = 5) -> BatchPlan:
    pairs = [length if isinstance(length, tuple) else (length - 1, 1) for length in lengths]
    return BatchPlan(lengths=pairs, batch_tokens=step, micro_batch_tokens=micro, num_ranks=num_ranks, seed=seed)


def batches_of(rows: list[tuple[list[int], list[int]]], rank: int = 0, **options) -> TrainingBatches:
    split = datasets.Dataset.from_dict({"input_ids": [s for s, _ in rows], "labels": [t for _, t in rows]})
    plan = plan_of([(len(s), len(t)) for s, t in rows], **options)
    return TrainingBatches(split, plan, rank=rank, pad_id=1, decoder_start_id=2)


def flat(step) -> list[int]:
    return [example for rank in step.micro_batches for micro in rank for example in micro]


@FEW
@given(LENGTHS, st.integers(1, 4), st.integers(0, 3))
def test_an_epoch_has_every_example_exactly_once(lengths, num_ranks, epoch):
    """Over all ranks, in as many steps as announced."""
    plan = plan_of(lengths, num_ranks)
    steps = list(plan.steps(epoch))
    assert sorted(example for step in steps for example in flat(step)) == list(range(len(lengths)))
    assert len(steps) == plan.num_steps(epoch)
    assert [step.index for step in steps] == list(range(len(steps)))


@FEW
@given(LENGTHS, st.integers(16, 200))
def test_the_examples_of_a_step_do_not_depend_on_ranks_or_micro_batches(lengths, micro):
    """One worker and eight see the same step."""
    expected = [sorted(flat(step)) for step in plan_of(lengths).steps(0)]
    for num_ranks in (2, 3, 8):
        assert [sorted(flat(step)) for step in plan_of(lengths, num_ranks, micro=micro).steps(0)] == expected


@FEW
@given(LENGTHS, st.integers(1, 5))
def test_all_ranks_have_equally_many_micro_batches(lengths, num_ranks):
    """So that collective calls line up; shares differ by one example at most."""
    for step in plan_of(lengths, num_ranks).steps(1):
        assert len(step.micro_batches) == num_ranks
        assert len({len(rank) for rank in step.micro_batches}) == 1
        shares = [sum(map(len, rank)) for rank in step.micro_batches]
        assert max(shares) - min(shares) <= 1


@FEW
@given(LENGTHS)
def test_a_step_stays_within_its_token_budget(lengths):
    """Unless a single example is longer."""
    for step in plan_of(lengths).steps(0):
        examples = flat(step)
        assert len(examples) == 1 or sum(lengths[i] for i in examples) <= 120


@FEW
@given(st.lists(st.tuples(st.integers(2, 40), st.integers(2, 40)), min_size=1, max_size=60))
def test_a_micro_batch_stays_within_its_padded_token_budget(shapes):
    """Padding included, sources and targets of any proportion, unless a single example is longer."""
    batches = batches_of([([7] * source, [7] * target) for source, target in shapes], step=300, micro=90)
    for micro_batches in batches.steps(0):
        for batch in micro_batches:
            assert len(batch.labels) == 1 or batch.input_ids.numel() + batch.labels.numel() <= 90


def test_epochs_and_seeds_have_different_orders_and_each_is_repeatable():
    """The same seed and epoch give the same steps in every process."""
    lengths = [3 + i % 17 for i in range(60)]
    orders = [[flat(s) for s in plan_of(lengths, seed=seed).steps(epoch)] for seed, epoch in ((5, 0), (5, 1), (6, 0))]
    assert orders[0] == [flat(step) for step in plan_of(lengths).steps(0)]
    assert all(orders[i] != orders[j] for i, j in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("objective", ["supervised", "denoising", "masked_lm"])
@pytest.mark.parametrize("start", [0, 2, 5])
def test_resuming_at_a_step_gives_the_same_batches(make_rows, tiny_tokenizer, start, objective):
    """With noise as well."""
    batches = batches_of(make_rows(40), step=60)
    batches.noise = noise_of(OBJECTIVES[objective].noise, tiny_tokenizer)
    if batches.noise is not None:
        batches.split = batches.split.map(lambda row: {"labels": row["input_ids"]})
    whole, resumed = list(batches.steps(1)), list(batches.steps(1, start))
    assert len(whole) > 6
    assert len(resumed) == len(whole) - start
    for one, other in zip(whole[start:], resumed, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            for name, tensor in vars(mine).items():
                other_tensor = getattr(theirs, name)
                assert tensor is other_tensor if tensor is None else torch.equal(tensor, other_tensor)


def test_ranks_together_see_the_rows_of_one_rank_and_an_idle_rank_a_filler(make_rows):
    """More ranks than examples in a step included; the filler counts no token."""
    rows = make_rows(9)
    alone = [sum(b.num_source_tokens + b.num_target_tokens for b in step) for step in batches_of(rows).steps(0)]
    together = [0] * len(alone)
    for rank in range(12):
        for i, step in enumerate(batches_of(rows, rank, num_ranks=12).steps(0)):
            together[i] += sum(b.num_source_tokens + b.num_target_tokens for b in step)
            assert all(len(batch.labels) >= 1 for batch in step)
    assert together == alone
    assert sum(alone) == sum(len(source) + len(target) for source, target in rows)


@pytest.mark.parametrize("num_ranks", [1, 2, 3])
@FEW
@given(lengths=st.lists(st.integers(1, 50), max_size=60))
def test_generation_covers_every_example_once_in_batches_that_do_not_depend_on_ranks(num_ranks, lengths):
    """Longest first, within the padded budget."""
    ranks = generation_batches(lengths, 100, num_ranks)
    batches = [batch for rank in ranks for batch in rank]
    assert len(ranks) == num_ranks
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert sorted(batches) == sorted(generation_batches(lengths, 100, 1)[0])
    for batch in batches:
        sizes = [lengths[i] for i in batch]
        assert sizes == sorted(sizes, reverse=True)
        assert len(batch) == 1 or len(batch) * sizes[0] <= 100


def test_collate_pads_masks_and_shifts():
    """Teacher forcing: the decoder sees the start token and then every label but the last."""
    batch = collate([[0, 9, 8, 2], [0, 7, 2]], [[0, 5, 2], [0, 6, 6, 2]], pad_id=1, decoder_start_id=2)
    assert batch.input_ids.tolist() == [[0, 9, 8, 2], [0, 7, 2, 1]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch.labels.tolist() == [[0, 5, 2, IGNORED_LABEL], [0, 6, 6, 2]]
    assert batch.decoder_input_ids.tolist() == [[2, 0, 5, 2], [2, 0, 6, 6]]
    assert (batch.num_source_tokens, batch.num_target_tokens) == (7, 7)
