"""Prepare a model for quantisation-aware training: swap its layers for fake-quantising ones, in place."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from pipeline.quantization.attention import AttentionFakeQuantise
from pipeline.quantization.fake_quantise import ActivationFakeQuantise, WeightFakeQuantise
from pipeline.quantization.layers import FakeQuantisedWeight, QuantisedInput, fake_quantise_input, fake_quantise_weight
from pipeline.quantization.scheme import NOT_QUANTISED, Scheme


@dataclass(frozen=True, kw_only=True)
class AttentionSite:
    """One attention module and its four linears, as absolute module names; `kind`: encoder, decoder or cross."""

    kind: str
    layer: int
    module: str
    query: str
    key: str
    value: str
    output: str


@dataclass(frozen=True, kw_only=True)
class Sites:
    """Where a family's models can be quantised, as module names."""

    linears: tuple[str, ...]
    post_activations: tuple[str, ...]  # those of the linears that follow an activation function
    embeddings: tuple[str, ...]  # users of the token embedding
    positions: tuple[str, ...]
    lm_head: str | None
    attentions: tuple[AttentionSite, ...]
    matrix_of: dict[str, str]  # embeddings and lm_head -> the first user of the same matrix


def quantised_tables(sites: Sites, scheme: Scheme) -> tuple[str, ...]:
    """Users of token matrices whose weight the scheme may quantise: embeddings, and the output projection if asked."""
    head = (sites.lm_head,) if scheme.quantisation.lm_head and sites.lm_head is not None else ()
    return (*sites.embeddings, *head)


def quantised_weights(sites: Sites, scheme: Scheme) -> dict[str, float]:
    """Module name -> bits of every module whose weight the scheme quantises."""
    bits = {name: scheme.bits_of(name, scheme.weight_bits) for name in sites.linears}
    # Users of one token matrix go by its first name.
    tables = quantised_tables(sites, scheme)
    bits |= {name: scheme.bits_of(sites.matrix_of[name], scheme.embedding_bits) for name in tables}
    bits |= {name: scheme.bits_of(name, scheme.position_bits) for name in sites.positions}
    return {name: count for name, count in bits.items() if count != NOT_QUANTISED}


def quantised_inputs(sites: Sites, scheme: Scheme) -> tuple[str, ...]:
    """Names of the linear modules whose input the scheme quantises."""
    if scheme.activation_bits == NOT_QUANTISED:
        return ()
    head = (sites.lm_head,) if scheme.quantisation.lm_head and sites.lm_head is not None else ()
    return (*sites.linears, *head)


def prepare(model: nn.Module, sites: Sites, scheme: Scheme) -> None:
    """Make the forward pass of a model fake-quantised; its parameters become the shadow weights.

    Modules that share a parameter share its quantiser, so a tied matrix is quantised once.
    """
    of_parameter: dict[int, WeightFakeQuantise] = {}
    tables = {*sites.embeddings, *sites.positions, sites.lm_head}
    for name, bits in quantised_weights(sites, scheme).items():
        layer = model.get_submodule(name)
        parameter = layer._parameters["weight"]
        assert parameter is not None
        if id(parameter) not in of_parameter:
            quantiser = scheme.embedding_quantiser(bits) if name in tables else scheme.weight_quantiser(bits)
            of_parameter[id(parameter)] = WeightFakeQuantise(quantiser, parameter)
        fake_quantise_weight(layer, of_parameter[id(parameter)])
    prepare_activations(model, sites, scheme)


def prepare_activations(model: nn.Module, sites: Sites, scheme: Scheme) -> None:
    """Quantise the inputs of linears and the operands of attention; packed models need this part, too."""
    general, after_activation = scheme.activation_quantiser(), scheme.post_activation_quantiser()
    if general is None or after_activation is None:
        return
    for name in quantised_inputs(sites, scheme):
        quantiser = after_activation if name in sites.post_activations else general
        apart = scheme.quantisation.as_published
        fake_quantise_input(model.get_submodule(name), ActivationFakeQuantise(quantiser), bias_apart=apart)
    if scheme.quantisation.attention:
        for site in sites.attentions:
            model.get_submodule(site.module).attention_quantise = AttentionFakeQuantise(scheme)


def use_scheme(model: nn.Module, sites: Sites, scheme: Scheme) -> None:
    """Quantise a prepared model to another scheme's grids from now on; what its own leaves alone stays alone."""
    bits, tables = quantised_weights(sites, scheme), {*sites.embeddings, *sites.positions, sites.lm_head}
    general, after_activation = scheme.activation_quantiser(), scheme.post_activation_quantiser()
    for name, module in model.named_modules():
        if isinstance(module, FakeQuantisedWeight):
            quantiser = scheme.embedding_quantiser if name in tables else scheme.weight_quantiser
            module.weight_quantise.use(quantiser(bits[name]) if name in bits else None)
        if isinstance(module, QuantisedInput):
            module.activation_quantise.use(after_activation if name in sites.post_activations else general)
        if isinstance(module, AttentionFakeQuantise):
            module.use(scheme)
