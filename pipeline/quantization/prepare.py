"""Prepare a model for quantisation-aware training: swap its layers for fake-quantising ones, in place."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from pipeline.quantization.attention import AttentionFakeQuantise
from pipeline.quantization.fake_quantise import ActivationFakeQuantise, WeightFakeQuantise
from pipeline.quantization.layers import fake_quantise_input, fake_quantise_weight
from pipeline.quantization.scheme import NOT_QUANTISED, Scheme


@dataclass(frozen=True, kw_only=True)
class Sites:
    """Where a family's models can be quantised, as module names."""

    linears: tuple[str, ...]
    embeddings: tuple[str, ...]  # users of the token embedding
    positions: tuple[str, ...]
    lm_head: str
    attentions: tuple[str, ...]


def quantised_weights(sites: Sites, scheme: Scheme) -> dict[str, int]:
    """Module name -> bits of every module whose weight the scheme quantises."""
    bits = dict.fromkeys(sites.linears, scheme.weight_bits)
    bits |= dict.fromkeys(sites.embeddings, scheme.embedding_bits)
    bits |= dict.fromkeys(sites.positions, scheme.position_bits)
    if scheme.lm_head:
        bits[sites.lm_head] = scheme.embedding_bits  # it uses the embedding's codes
    return {name: count for name, count in bits.items() if count != NOT_QUANTISED}


def quantised_inputs(sites: Sites, scheme: Scheme) -> tuple[str, ...]:
    """Names of the linear modules whose input the scheme quantises."""
    if scheme.activation_bits == NOT_QUANTISED:
        return ()
    return (*sites.linears, sites.lm_head) if scheme.lm_head else sites.linears


def prepare(model: nn.Module, sites: Sites, scheme: Scheme) -> None:
    """Make the forward pass of a model fake-quantised; its parameters become the shadow weights.

    Modules that share a parameter share its quantiser, so a tied matrix is quantised once.
    """
    of_parameter: dict[int, WeightFakeQuantise] = {}
    row_wise = {*sites.embeddings, *sites.positions, sites.lm_head}
    for name, bits in quantised_weights(sites, scheme).items():
        layer = model.get_submodule(name)
        parameter = layer._parameters["weight"]
        quantiser = scheme.embedding_quantiser(bits) if name in row_wise else scheme.weight_quantiser(bits)
        assert quantiser is not None
        shared = of_parameter.setdefault(id(parameter), WeightFakeQuantise(quantiser))
        fake_quantise_weight(layer, shared)
    prepare_activations(model, sites, scheme)


def prepare_activations(model: nn.Module, sites: Sites, scheme: Scheme) -> None:
    """Quantise the inputs of linears and the operands of attention; packed models need this part, too."""
    activation = scheme.activation_quantiser()
    if activation is None:
        return
    for name in quantised_inputs(sites, scheme):
        fake_quantise_input(model.get_submodule(name), ActivationFakeQuantise(activation))
    if scheme.attention:
        for name in sites.attentions:
            model.get_submodule(name).attention_quantise = AttentionFakeQuantise(scheme)
