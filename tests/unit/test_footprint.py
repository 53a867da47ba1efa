"""Law 12: the footprint of bart-base reproduces the published ratios."""

import dataclasses

import pytest

from pipeline.models import bart
from pipeline.quantization.footprint import Shape, rule_p_bytes

BART_BASE = Shape(
    vocab_size=50265,
    d_model=768,
    encoder_ffn_dim=3072,
    decoder_ffn_dim=3072,
    num_positions=1026,
    encoder_layers=6,
    decoder_layers=6,
)


@pytest.mark.parametrize(
    ("bits", "depth", "ratio"), [(8, (6, 6), 3.86), (2, (6, 6), 13.62), (2, (6, 3), 16.50), (2, (1, 1), 27.70)]
)
def test_bart_base_has_the_published_compression_ratios(bits, depth, ratio):
    """3.86x, 13.62x, 16.50x and 27.70x, to the two decimals of the paper."""
    student = dataclasses.replace(BART_BASE, encoder_layers=depth[0], decoder_layers=depth[1])
    assert round(rule_p_bytes(BART_BASE, 32, 32) / rule_p_bytes(student, bits, bits), 2) == ratio


@pytest.mark.parametrize(("encoder_layers", "decoder_layers"), [(1, 1), (2, 1), (1, 3)])
def test_at_32_bits_the_formula_counts_every_parameter_of_the_model(make_bart, encoder_layers, decoder_layers):
    """Four bytes each, tied matrices once."""
    model = make_bart(encoder_layers, decoder_layers, encoder_ffn_dim=40)
    assert rule_p_bytes(bart.shape_of(model.config), 32, 32) == 4 * sum(p.numel() for p in model.parameters())


def test_weight_and_embedding_bits_count_separately():
    """Eight more bits on the embedding table are one more byte an element of it."""
    table = BART_BASE.vocab_size * BART_BASE.d_model
    assert rule_p_bytes(BART_BASE, 2, 8) - rule_p_bytes(BART_BASE, 2, 2) == table * 6 / 8
    assert rule_p_bytes(BART_BASE, 8, 2) > rule_p_bytes(BART_BASE, 2, 2)
