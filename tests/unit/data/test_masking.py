"""Masked tokens: a fixed share of those that are no special ones, repeatable, and shown as BERT's paper says."""

import random
from collections import Counter

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.errors import UserError
from pipeline.config.sections.task import TaskConfig
from pipeline.data.batch import IGNORED_LABEL
from pipeline.data.batches import BatchPlan, TrainingBatches
from pipeline.data.masking import Masking, WordMasking, continuing_tokens, num_masked
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


WORDS = WordMasking(of_tokens=MASKING, continuing=frozenset(range(100, 203)))


def masked_words(ids, seed=0):
    return WORDS(ids, ids, random.Random(seed))


@settings(max_examples=100)
@given(TEXTS, st.integers(0, 1000))
def test_words_are_hidden_whole(ids, seed):
    """Of every word all tokens or none; special tokens part words and are never hidden."""
    columns, words = masked_words(ids, seed), WORDS.words_in(ids)
    positions = set(columns["target_positions"]) if columns["labels"] != [IGNORED_LABEL] else set()
    assert all(set(word) <= positions or not set(word) & positions for word in words)
    assert sorted(place for word in words for place in word) == [i for i, token in enumerate(ids) if token > 4]
    assert all(ids[word[0]] < 100 or ids[word[0] - 1] in SPECIAL for word in words)
    assert all(ids[place] >= 100 for word in words for place in word[1:])
    assert [ids[place] for place in sorted(positions)] == [label for label in columns["labels"] if label >= 0]
    assert masked_words(ids, seed) == columns


@settings(max_examples=100)
@given(TEXTS, st.integers(0, 1000))
def test_no_more_words_are_hidden_than_single_tokens_would_be(ids, seed):
    """One of the shortest, where every word is longer; batches are planned by the most that there can be."""
    num, words = len(masked_words(ids, seed)["labels"]), WORDS.words_in(ids)
    shortest = min(map(len, words), default=1)
    assert 1 <= num <= WORDS.num_targets(ids, ids) == max(num_masked(sum(map(len, words))), shortest, 1)


def test_every_word_is_hidden_in_turn():
    """Long ones, too."""
    ids = [0, *([5, 100] * 20), *([6, 101, 102, 103, 104] * 4), 2]
    words, hidden = WORDS.words_in(ids), Counter()
    for seed in range(500):
        hidden.update(
            word for word, places in enumerate(words) if places[0] in masked_words(ids, seed)["target_positions"]
        )
    assert set(hidden) == set(range(len(words)))


class Vocabulary(dict):
    """A tokenizer's."""

    def get_vocab(self):
        return self


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["[CLS]", "bird", "##s", "##ing", "tree"], {2, 3}),
        (["<s>", "\u0120bird", "s", "ing", "\u0120tree", "#"], {0, 2, 3, 5}),
        (["<s>", "\u2581bird", "s", "ing", "\u2581tree", "##"], {0, 2, 3, 5}),
    ],
    ids=["WordPiece", "byte-level BPE", "sentencepiece"],
)
def test_which_tokens_go_on_with_a_word_is_read_from_the_vocabulary(tokens, expected):
    """By the marks of the three kinds; special tokens part words whatever they are called."""
    assert continuing_tokens(Vocabulary({token: number for number, token in enumerate(tokens)})) == expected


def test_a_vocabulary_without_marks_hides_no_words():
    """A message instead of words that are the whole text."""
    with pytest.raises(UserError, match=r"task.masking=words with a tokenizer that marks neither"):
        continuing_tokens(Vocabulary({"a": 0, "b": 1}))


def test_words_are_for_what_is_masked():
    """Whole words of a task without masks would be a setting that nobody reads."""
    assert TaskConfig(objective="masked_lm", masking="words").noise == "word_masking"
    assert TaskConfig(objective="masked_lm").noise == "masking"
    with pytest.raises(UserError, match=r"task.masking=words with task.objective=denoising, which masks nothing"):
        TaskConfig(objective="denoising", masking="words")
