"""The search in numpy says the tokens that transformers' `generate` says, whatever is asked of it."""

import random
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.config.sections.task import DecodingConfig
from pipeline.data.batch import pad
from pipeline.evaluation.generate import generate_ids
from pipeline.runtime.batches import mask_of, padded
from pipeline.runtime.manifest import TokenIds
from pipeline.runtime.processors import Rules, log_softmax
from pipeline.runtime.search import CHUNK, largest, search

PAD, EOS = 1, 2


@dataclass(frozen=True)
class Said:
    """The state of a torch model without a cache."""

    hidden: Any
    mask: Any
    tokens: Any


class TorchDecoder:
    """A torch model behind the search."""

    def __init__(self, model):
        self.model = model

    def read(self, sources):
        ids, mask = pad(sources, PAD), pad([[1] * len(ids) for ids in sources], 0)
        hidden = self.model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        return Said(hidden, mask, torch.zeros((len(sources), 0), dtype=torch.long))

    def step(self, state, tokens):
        tokens = torch.cat([state.tokens, torch.from_numpy(tokens)[:, None]], dim=1)
        inputs = {"encoder_outputs": (state.hidden,), "attention_mask": state.mask, "decoder_input_ids": tokens}
        logits = self.model(**inputs, use_cache=False).logits[:, -1]
        return logits.float().numpy(), replace(state, tokens=tokens)

    def repeat(self, state, num_beams):
        return Said(*(part.repeat_interleave(num_beams, 0) for part in vars(state).values()))

    def reorder(self, state, rows):
        return replace(state, tokens=state.tokens[torch.from_numpy(rows)])


def model_of(make_bart, seed, likes_to_end, **options):
    """A random BART in double precision, so that only the search can differ; it ends sooner or later."""
    model = make_bart(1, 2, seed=seed, **{"vocab_size": 60, "init_std": 0.6, **options}).double()
    model.final_logits_bias[:, EOS] = likes_to_end
    return model


def sources_of(draw, num_rows):
    return [[0, *(draw.randrange(4, 60) for _ in range(draw.randint(1, 9))), EOS] for _ in range(num_rows)]


@torch.inference_mode()
def compare(model, sources, decoding):
    """Tokens of both, without what comes after a row's end."""
    shape = model.config
    suppressed = [shape.pad_token_id] if shape.decoder_start_token_id == shape.pad_token_id else []
    eos, *more_ends = [shape.eos_token_id] if isinstance(shape.eos_token_id, int) else shape.eos_token_id
    tokens = TokenIds(
        pad=shape.pad_token_id,
        eos=eos,
        more_ends=more_ends,
        decoder_start=shape.decoder_start_token_id,
        forced_first=getattr(shape, "first_target_token_id", None),
        suppressed=suppressed,
    )
    decoder = TorchDecoder(model)
    ours = search(decoder, decoder.read(sources), len(sources), Rules(decoding=decoding, tokens=tokens))
    theirs = generate_ids(model, sources, PAD, decoding).tolist()
    for mine, other in zip(ours, theirs, strict=True):
        assert other == mine + [PAD] * (len(other) - len(mine)), decoding
    return ours


@pytest.mark.parametrize("num_beams", [1, 2, 4])
@pytest.mark.parametrize("seed", range(40))
def test_tokens_are_those_of_transformers(make_bart, seed, num_beams):
    """Random models, batches, penalties, lengths, n-grams, with and without early stopping."""
    draw = random.Random(f"{seed} {num_beams}")
    model = model_of(make_bart, seed, draw.choice([0.0, 3.0, 6.0, 12.0]))
    max_length = draw.randint(2, 24)
    decoding = DecodingConfig(
        num_beams=num_beams,
        min_length=draw.choice([0, 0, draw.randint(0, max_length)]),
        max_length=max_length,
        length_penalty=draw.choice([1.0, 1.0, -1.5, 0.0, 0.8, 2.0, 3.0]),
        early_stopping=draw.random() < 0.5,
        no_repeat_ngram_size=draw.choice([0, 0, 1, 2, 3]),
    )
    compare(model, sources_of(draw, draw.choice([1, 2, 5])), decoding)


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("start", [EOS, PAD])
@pytest.mark.parametrize("forced_first", [None, 17])
def test_special_tokens_are_forced_and_suppressed_as_by_transformers(make_bart, num_beams, start, forced_first):
    """A language code first (mBART-50), padding that starts the decoding (Marian, T5), the end at the last place."""
    draw = random.Random(0)
    for seed in range(5):
        model = model_of(make_bart, seed, 2.0, decoder_start_token_id=start)
        model.final_logits_bias[:, PAD] = 8.0  # it would say padding if it could
        model.config.first_target_token_id = forced_first
        said = compare(model, sources_of(draw, 3), DecodingConfig(num_beams=num_beams, max_length=9))
        assert all(row[0] == start and row[-1] == EOS for row in said)
        assert forced_first is None or all(row[1] == forced_first for row in said)
        assert start == EOS or not any(PAD in row[1:] for row in said)


@pytest.mark.parametrize("num_beams", [1, 2, 4])
@pytest.mark.parametrize("ends", [[EOS, 17], [17, EOS], [30, 31, 32, EOS]])
def test_each_of_several_ends_ends_a_text_as_in_transformers(make_bart, num_beams, ends):
    """None of them before the shortest length; at the last place the first of them is forced."""
    draw, lengths, last = random.Random(0), set(), set()
    for seed in range(12):
        model = model_of(make_bart, seed, draw.choice([0.0, 3.0, 6.0]), eos_token_id=ends, forced_eos_token_id=ends)
        model.final_logits_bias[:, ends] += 4.0
        decoding = DecodingConfig(num_beams=num_beams, min_length=draw.choice([0, 4]), max_length=draw.randint(5, 14))
        for row in compare(model, sources_of(draw, 3), decoding):
            assert row[-1] in ends and not set(row[1:-1]) & set(ends)
            assert len(row) > decoding.min_length and (len(row) < decoding.max_length or row[-1] == ends[0])
            lengths.add(len(row))
            last.add(row[-1])
    assert len(lengths) > 3 and len(last) > 1


@pytest.mark.parametrize("num_beams", [1, 4])
def test_a_text_does_not_depend_on_its_batch(make_bart, num_beams):
    """Where the model's logits do not: rows that are done wait for the others and change nothing."""
    model, draw = model_of(make_bart, 3, 5.0), random.Random(1)
    sources = sources_of(draw, 6)
    decoding = DecodingConfig(num_beams=num_beams, max_length=20, early_stopping=False)
    together = compare(model, sources, decoding)
    assert together == [compare(model, [source], decoding)[0] for source in sources]
    assert len({len(row) for row in together}) > 1


@pytest.mark.parametrize("size", [3, CHUNK, 8 * CHUNK, 9 * CHUNK - 1, 9 * CHUNK, 9 * CHUNK + 1, 70 * CHUNK + 5])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_largest_values_are_found_in_their_order(size, count):
    """Among equal ones the first, also where almost all are minus infinity, or all."""
    rng, count = np.random.default_rng(size), min(count, size)
    values = rng.standard_normal((6, size)).astype(np.float32)
    values[1] = rng.integers(0, 3, size)  # many ties
    values[2], values[3, :], values[4, :-1] = 7.0, -np.inf, -np.inf
    values[5, rng.integers(0, size, max(1, size - 2))] = -np.inf
    expected = np.argsort(-values, axis=1, kind="stable")[:, :count]
    found, places = largest(values, count)
    assert np.array_equal(places, expected)
    assert np.array_equal(found, np.take_along_axis(values, expected, axis=1))


def test_log_probabilities_are_those_of_torch():
    """Also of logits that are far apart, or minus infinity."""
    logits = np.random.default_rng(0).standard_normal((4, 5000)).astype(np.float32) * 40
    logits[0, 7] = -np.inf
    expected = torch.from_numpy(logits).log_softmax(-1).numpy()
    np.testing.assert_allclose(log_softmax(logits.copy()), expected, rtol=1e-6, atol=2e-7)


def test_padding_is_that_of_the_evaluation():
    """Ids and masks."""
    rows = [[5, 6, 7], [8], [], [9, 9]]
    assert np.array_equal(padded(rows, PAD), pad(rows, PAD).numpy())
    assert np.array_equal(mask_of(rows), pad([[1] * len(row) for row in rows], 0).numpy())
