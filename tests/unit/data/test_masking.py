"""Masked tokens: a fixed share of those that are no special ones, repeatable, and shown as BERT's paper says."""

import random
from collections import Counter

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.batch import IGNORED_LABEL
from pipeline.data.batches import BatchPlan, TrainingBatches
from pipeline.data.masking import Masking, num_masked
from pipeline.data.noise import held_out

PAD, MASK, SPECIAL = 1, 4, (0, 1, 2, 3, 4)
MASKING = Masking(mask_id=MASK, special=frozenset(SPECIAL), words=tuple(range(5, 203)))
# Special tokens inside a text, too: unknown words, masks that somebody wrote.
TEXTS = st.lists(st.integers(0, 202), max_size=60).map(lambda inner: [0, *inner, 2])


def masked(ids, seed=0):
    return MASKING(ids, ids, random.Random(seed))


@settings(max_examples=50)
@given(TEXTS, st.integers(0, 1000))
def test_special_tokens_are_neither_targets_nor_shown_instead(ids, seed):
    """Whatever a text holds; all that is no target stays as it is."""
    columns = masked(ids, seed)
    positions = columns["target_positions"] if columns["labels"] != [IGNORED_LABEL] else []
    assert [ids[place] for place in positions] == [label for label in columns["labels"] if label != IGNORED_LABEL]
    assert not {ids[place] for place in positions} & set(SPECIAL)
    assert not {columns["input_ids"][place] for place in positions} & (set(SPECIAL) - {MASK})
    others = set(range(len(ids))) - set(positions)
    assert all(columns["input_ids"][place] == ids[place] for place in others)
    assert positions == sorted(set(positions))
    assert masked(ids, seed) == columns


@settings(max_examples=50)
@given(TEXTS, st.integers(0, 1000))
def test_how_many_targets_a_text_has_is_known_before_they_are_drawn(ids, seed):
    """Batches are planned by it: the same in every epoch."""
    columns = masked(ids, seed)
    assert MASKING.num_targets(ids, ids) == len(columns["labels"]) == len(columns["target_positions"])


@pytest.mark.parametrize(("num_tokens", "expected"), [(0, 0), (1, 1), (3, 1), (7, 1), (20, 3), (40, 6), (100, 15)])
def test_fifteen_percent_are_targets(num_tokens, expected):
    """Rounded; one at least where there is anything to hide."""
    assert num_masked(num_tokens) == expected


def test_most_targets_are_masks_some_are_other_words_and_some_stay():
    """80, 10 and 10 percent on average; every place is a target equally often."""
    ids = [0, *range(5, 105), 2]
    shown, places = Counter(), Counter()
    for seed in range(2000):
        columns = masked(ids, seed)
        places.update(columns["target_positions"])
        for place in columns["target_positions"]:
            token = columns["input_ids"][place]
            shown["mask" if token == MASK else "same" if token == ids[place] else "other"] += 1
    total = sum(shown.values())
    assert total == 2000 * 15
    # One in 198 of the other words is the word itself.
    assert [shown[kind] / total for kind in ("mask", "other", "same")] == pytest.approx([0.8, 0.1, 0.1], abs=0.01)
    assert set(places) == set(range(1, 101))
    assert min(places.values()) > 240 and max(places.values()) < 360


def test_another_word_is_one_of_the_words():
    """However few of the vocabulary are words, and each of them."""
    masking, ids = Masking(mask_id=MASK, special=frozenset(SPECIAL), words=(7, 9)), [0, *range(20, 120), 2]
    rows = [masking(ids, ids, random.Random(seed)) for seed in range(200)]
    shown = {row["input_ids"][place] for row in rows for place in row["target_positions"]}
    assert shown - {MASK, *range(20, 120)} == {7, 9}


@pytest.mark.parametrize("ids", [[], [0, 2], [0, MASK, 3, 2]])
def test_a_text_without_words_has_a_place_that_counts_nothing(ids):
    """So that a batch of such texts alone has a shape."""
    assert masked(ids) == {"input_ids": ids, "labels": [IGNORED_LABEL], "target_positions": [0]}


def test_a_tokenizer_says_what_is_special(tiny_tokenizer):
    """Its framing tokens, its mask; all other numbers of its vocabulary are words."""
    masking = Masking.of(tiny_tokenizer)
    assert masking.mask_id == tiny_tokenizer.mask_token_id
    assert masking.special == set(tiny_tokenizer.all_special_ids) >= {0, 1, 2, 3, 4}
    assert set(masking.words) | masking.special == set(range(len(tiny_tokenizer)))
    assert not set(masking.words) & masking.special


ROWS = [[0, *range(5 + i, 25 + 3 * i), 2] for i in range(12)]


def batches_of(num_ranks=1, rank=0, seed=3, micro=400):
    lengths = [(len(ids), MASKING.num_targets(ids, ids)) for ids in ROWS]
    plan = BatchPlan(lengths=lengths, batch_tokens=240, micro_batch_tokens=micro, num_ranks=num_ranks, seed=seed)
    split = Dataset.from_dict({"input_ids": ROWS, "labels": ROWS})
    return TrainingBatches(split, plan, rank=rank, pad_id=PAD, decoder_start_id=None, noise=MASKING)


def masks_of(batches, epoch, start=0):
    """What is shown and asked of every example, as it stands in batches without their padding."""
    rows = [
        (tuple(ids[mask].tolist()), tuple(labels[labels != -100].tolist()), tuple(places[labels != -100].tolist()))
        for step in batches.steps(epoch, start)
        for batch in step
        if batch.num_target_tokens
        for ids, mask, labels, places in zip(
            batch.input_ids, batch.attention_mask.bool(), batch.labels, batch.target_positions, strict=True
        )
    ]
    return sorted(rows)


def test_masks_depend_on_seed_epoch_and_example_alone():
    """Neither on ranks nor on how a step is split; another epoch and another seed hide other words."""
    expected = masks_of(batches_of(), 0)
    assert masks_of(batches_of(micro=40), 0) == expected
    assert sorted(row for rank in range(3) for row in masks_of(batches_of(3, rank), 0)) == expected
    assert len(expected) == len(ROWS)
    assert len({tuple(expected), tuple(masks_of(batches_of(), 1)), tuple(masks_of(batches_of(seed=4), 0))}) == 3


def test_an_idle_rank_gets_a_filler_without_targets():
    """More ranks than examples in a step."""
    fillers = [
        batch
        for rank in range(9)
        for step in batches_of(9, rank).steps(0)
        for batch in step
        if not batch.num_target_tokens
    ]
    assert fillers
    assert {batch.num_source_tokens for batch in fillers} == {0}


def test_a_held_out_split_is_masked_alike_for_everybody():
    """By the numbers of its examples, whatever batch they are in; no two examples alike."""
    rows = {"input_ids": ROWS, "labels": ROWS, "more": list(range(12))}
    whole = held_out(rows, MASKING, range(12))
    for example in range(12):
        alone = held_out({"input_ids": [ROWS[example]], "labels": [ROWS[example]]}, MASKING, [example])
        assert all(alone[name] == [whole[name][example]] for name in ("input_ids", "labels", "target_positions"))
    assert whole["more"] == rows["more"]
    same_text = held_out({"input_ids": [ROWS[5]] * 8, "labels": [ROWS[5]] * 8}, MASKING, range(8))
    assert len(set(map(tuple, same_text["target_positions"]))) > 1
