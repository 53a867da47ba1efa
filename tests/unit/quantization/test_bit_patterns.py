"""Bits of modules as patterns: what a recipe reads is what was assigned, in few words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.sections.recipe import WEIGHT_BITS, QuantizationConfig
from pipeline.quantization.bit_patterns import escaped, patterns_for
from pipeline.quantization.scheme import scheme_of

PARTS = ("self_attn.q_proj", "self_attn.k_proj", "encoder_attn.q_proj", "fc1", "fc2")
LAYERS = [
    f"model.{side}.layers.{layer}.{part}" for side in ("encoder", "decoder") for layer in (0, 1, 10) for part in PARTS
]
TABLES = ["model.shared", "model.encoder.embed_positions", "lm_head"]
# Names inside names, and characters that patterns know.
ODD = ["a", "a.0.a", "a.0.b.a", "a.1.a", "a.1.b.a", "b.[0].*", "b.[0].?", "b.0.x"]
USUAL = dict.fromkeys(LAYERS, 2.0) | dict.fromkeys(TABLES, 8.0)


def read(entries, usual):
    """Bits of every module as a scheme reads them from a recipe."""
    scheme = scheme_of("2-2-8", QuantizationConfig(bits=entries))
    return {name: scheme.bits_of(name, own) for name, own in usual.items()}


@settings(max_examples=60)
@given(st.data())
@pytest.mark.parametrize("names", [LAYERS + TABLES, ODD])
def test_a_scheme_gives_every_module_its_bits(names, data):
    """Whatever is assigned to whichever modules; what is not named keeps its own."""
    usual = {name: data.draw(st.sampled_from((2.0, 8.0))) for name in names}
    some = data.draw(st.lists(st.sampled_from(names), unique=True))
    bits = {name: float(data.draw(st.sampled_from(WEIGHT_BITS))) for name in some}
    assert read(patterns_for(bits, usual), usual) == usual | bits


@pytest.mark.parametrize(
    ("bits", "entries"),
    [
        ({}, []),
        (USUAL, []),
        ({"model.shared": 4}, ["model.shared=4"]),
        (dict.fromkeys(USUAL, 4), ["*=4"]),
        ({name: 8 for name in LAYERS if ".encoder.layers.0." in name}, ["model.encoder.layers.0.*=8"]),
        (
            {name: 8 for name in LAYERS if "decoder.layers" in name and "fc2" in name},
            ["model.decoder.layers.*.fc2=8"],
        ),
        (
            {name: 1 for name in LAYERS if "decoder" in name} | {"model.decoder.layers.10.fc1": 8},
            ["model.decoder.layers.*=1", "model.decoder.layers.10.fc1=8"],
        ),
    ],
)
def test_lists_are_short(bits, entries):
    """A part of the model in one entry, its exceptions behind it; what has its bits already in none."""
    assert patterns_for(bits, USUAL) == entries


def test_layer_1_is_not_layer_10():
    """A pattern of the one must not match the other."""
    bits = {name: 8 for name in LAYERS if ".1." in name}
    assert read(patterns_for(bits, USUAL), USUAL) == USUAL | bits


def test_characters_of_patterns_are_escaped():
    """Brackets, stars and question marks mean themselves."""
    assert escaped("a[0].*?") == "a[[]0].[*][?]"
    assert patterns_for({"b.[0].*": 4}, dict.fromkeys(ODD, 2.0)) == ["b.[[]0].[*]=4"]


def test_bits_of_a_module_that_is_not_quantized_are_an_error():
    """A pattern would name nothing."""
    with pytest.raises(ValueError, match="nowhere"):
        patterns_for({"nowhere": 2}, USUAL)
