"""Prepare a model for quantization-aware training: swap its layers for fake-quantizing ones, in place."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from pipeline.quantization.attention import AttentionFakeQuantize
from pipeline.quantization.fake_quantize import ActivationFakeQuantize, WeightFakeQuantize
from pipeline.quantization.layers import FakeQuantizedWeight, QuantizedInput, fake_quantize_input, fake_quantize_weight
from pipeline.quantization.scheme import NOT_QUANTIZED, Scheme


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
    """Where a family's models can be quantized, as module names."""

    linears: tuple[str, ...]
    post_activations: tuple[str, ...]  # those of the linears that follow an activation function
    embeddings: tuple[str, ...]  # users of the token embedding
    positions: tuple[str, ...]
    lm_head: str | None
    attentions: tuple[AttentionSite, ...]
    matrix_of: dict[str, str]  # embeddings and lm_head -> the first user of the same matrix


def quantized_tables(sites: Sites, scheme: Scheme) -> tuple[str, ...]:
    """Users of token matrices whose weight the scheme may quantize: embeddings, and the output projection if asked."""
    head = (sites.lm_head,) if scheme.quantization.lm_head and sites.lm_head is not None else ()
    return (*sites.embeddings, *head)


def weight_modules(sites: Sites, scheme: Scheme) -> dict[str, tuple[str, ...]]:
    """Every module whose weight the scheme may quantize, as patterns know it -> the modules that read that weight.

    Users of one token matrix go by its first name.
    """
    modules: dict[str, tuple[str, ...]] = {name: (name,) for name in sites.linears}
    for name in quantized_tables(sites, scheme):
        owner = sites.matrix_of[name]
        modules[owner] = (*modules.get(owner, ()), name)
    return modules | {name: (name,) for name in sites.positions}


def module_bits(sites: Sites, scheme: Scheme) -> dict[str, float]:
    """Bits of every module of `weight_modules`; 32 is not quantized."""
    tables = {sites.matrix_of[name] for name in quantized_tables(sites, scheme)}
    kinds = dict.fromkeys(tables, scheme.embedding_bits) | dict.fromkeys(sites.positions, scheme.position_bits)
    return {name: scheme.bits_of(name, kinds.get(name, scheme.weight_bits)) for name in weight_modules(sites, scheme)}


def quantized_weights(sites: Sites, scheme: Scheme) -> dict[str, float]:
    """Module name -> bits of every module whose weight the scheme quantizes."""
    bits = module_bits(sites, scheme)
    users = {user: bits[name] for name, readers in weight_modules(sites, scheme).items() for user in readers}
    return {user: count for user, count in users.items() if count != NOT_QUANTIZED}


def quantized_inputs(sites: Sites, scheme: Scheme) -> tuple[str, ...]:
    """Names of the linear modules whose input the scheme quantizes."""
    if scheme.activation_bits == NOT_QUANTIZED:
        return ()
    head = (sites.lm_head,) if scheme.quantization.lm_head and sites.lm_head is not None else ()
    return (*sites.linears, *head)


def prepare(model: nn.Module, sites: Sites, scheme: Scheme) -> None:
    """Make the forward pass of a model fake-quantized; its parameters become the shadow weights.

    Modules that share a parameter share its quantizer, so a tied matrix is quantized once.
    """
    of_parameter: dict[int, WeightFakeQuantize] = {}
    tables = {*sites.embeddings, *sites.positions, sites.lm_head}
    for name, bits in quantized_weights(sites, scheme).items():
        layer = model.get_submodule(name)
        parameter = layer._parameters["weight"]
        assert parameter is not None
        if id(parameter) not in of_parameter:
            quantizer = scheme.embedding_quantizer(bits) if name in tables else scheme.weight_quantizer(bits)
            of_parameter[id(parameter)] = WeightFakeQuantize(quantizer, parameter)
        fake_quantize_weight(layer, of_parameter[id(parameter)])
    prepare_activations(model, sites, scheme)


def prepare_activations(model: nn.Module, sites: Sites, scheme: Scheme) -> None:
    """Quantize the inputs of linears and the operands of attention; packed models need this part, too."""
    general, after_activation = scheme.activation_quantizer(), scheme.post_activation_quantizer()
    if general is None or after_activation is None:
        return
    for name in quantized_inputs(sites, scheme):
        quantizer = after_activation if name in sites.post_activations else general
        apart = scheme.quantization.as_published
        fake_quantize_input(model.get_submodule(name), ActivationFakeQuantize(quantizer), bias_apart=apart)
    if scheme.quantization.attention:
        for site in sites.attentions:
            model.get_submodule(site.module).attention_quantize = AttentionFakeQuantize(scheme)


def use_scheme(model: nn.Module, sites: Sites, scheme: Scheme) -> None:
    """Quantize a prepared model to another scheme's grids from now on; what its own leaves alone stays alone."""
    bits, tables = quantized_weights(sites, scheme), {*sites.embeddings, *sites.positions, sites.lm_head}
    general, after_activation = scheme.activation_quantizer(), scheme.post_activation_quantizer()
    for name, module in model.named_modules():
        if isinstance(module, FakeQuantizedWeight):
            quantizer = scheme.embedding_quantizer if name in tables else scheme.weight_quantizer
            module.weight_quantize.use(quantizer(bits[name]) if name in bits else None)
        if isinstance(module, QuantizedInput):
            module.activation_quantize.use(after_activation if name in sites.post_activations else general)
        if isinstance(module, AttentionFakeQuantize):
            module.use(scheme)
