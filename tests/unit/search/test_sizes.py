"""Closed forms of encoders: the published sizes, and polynomials of the architectural parameters."""

from dataclasses import replace

import pytest

from pipeline.search.sizes import EncoderEnds, encoder_operations, encoder_parameters
from pipeline.search.space import BERT_LARGE, BORT, EncoderArchitecture

BERT_BASE = EncoderArchitecture(layers=12, heads=12, hidden=768, intermediate=3072)
BERT = EncoderEnds(vocabulary=30522)
ROBERTA_WORDS = EncoderEnds(vocabulary=50265, token_types=0, pooler=False)


def test_berts_have_their_published_sizes():
    """The checkpoints' own counts; Bort's layers hold 23.11 million weights of matrices, biases and norms besides."""
    assert encoder_parameters(BERT_BASE, BERT).total == 109_482_240
    assert encoder_parameters(BERT_LARGE, BERT).total == 335_141_888
    bort = encoder_parameters(BORT, ROBERTA_WORDS)
    assert bort.blocks == 4 * (4 * 1024**2 + 2 * 1024 * 768 + 4 * 1024 + 768 + 1024 + 2 * 2 * 1024)
    assert round(bort.total / 1e6, 1) == 75.1


def test_arithmetic_explains_part_of_borts_speed():
    """Multiplications of its linear layers: 3.7 times fewer than BERT-base's, 13.1 than BERT-large's."""

    def products(architecture):
        short = encoder_operations(architecture, ROBERTA_WORDS, 1).products.blocks
        return short - 4 * architecture.hidden * architecture.layers  # scores and weighted values of one position

    assert round(products(BERT_BASE) / products(BORT), 1) == 3.7
    assert round(products(BERT_LARGE) / products(BORT), 1) == 13.1


@pytest.mark.parametrize("num_tokens", [1, 128])
def test_blocks_grow_with_depth_and_ends_do_not(num_tokens):
    """Depth is the n of AB^nC."""
    deep = replace(BORT, layers=8)
    for of in (encoder_parameters, lambda one, ends: encoder_operations(one, ends, num_tokens).total):
        assert of(deep, BERT).blocks == 2 * of(BORT, BERT).blocks
        assert of(deep, BERT).ends == of(BORT, BERT).ends


def test_heads_change_operations_and_no_parameters():
    """Candidates that differ in heads alone are ties of the order, broken by the softmax."""
    more = replace(BORT, heads=16)
    assert encoder_parameters(more, BERT) == encoder_parameters(BORT, BERT)
    one, other = encoder_operations(BORT, BERT, 128), encoder_operations(more, BERT, 128)
    assert one.products == other.products
    assert one.total.total < other.total.total
