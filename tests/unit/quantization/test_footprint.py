"""Law 12: the footprint of bart-base reproduces the published ratios."""

import pytest
from transformers import BartConfig

from pipeline.models.student import meta_model, sites_of
from pipeline.quantization.footprint import paper_bytes


def size(weight_bits, embedding_bits, **depth):
    """Bytes of bart-base by the papers' rule."""
    model = meta_model(BartConfig(**depth))
    return paper_bytes(model, sites_of(model), weight_bits, embedding_bits)


@pytest.mark.parametrize(
    ("bits", "depth", "ratio"), [(8, (6, 6), 3.86), (2, (6, 6), 13.62), (2, (6, 3), 16.50), (2, (1, 1), 27.70)]
)
def test_bart_base_has_the_published_compression_ratios(bits, depth, ratio):
    """3.86x, 13.62x, 16.50x and 27.70x, to the two decimals of the paper."""
    base = {"encoder_layers": 6, "decoder_layers": 6, "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072}
    base |= {"d_model": 768, "encoder_attention_heads": 12, "decoder_attention_heads": 12}
    student = base | {"encoder_layers": depth[0], "decoder_layers": depth[1]}
    assert round(size(32, 32, **base) / size(bits, bits, **student), 2) == ratio


def test_at_32_bits_the_formula_counts_every_parameter_of_the_model(make_bart):
    """Four bytes each, tied matrices once."""
    model = make_bart(2, 1, encoder_ffn_dim=40)
    assert paper_bytes(model, sites_of(model), 32, 32) == 4 * sum(p.numel() for p in model.parameters())


def test_weight_and_embedding_bits_count_separately(make_bart):
    """Eight more bits on the embedding table are one more byte an element of it."""
    model = make_bart(1, 1)
    table, sites = model.model.shared.weight.numel(), sites_of(model)
    assert paper_bytes(model, sites, 2, 8) - paper_bytes(model, sites, 2, 2) == table * 6 / 8
    assert paper_bytes(model, sites, 8, 2) > paper_bytes(model, sites, 2, 2)
