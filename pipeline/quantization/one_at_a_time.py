"""Some modules of a plain model quantized, the others left alone: for as long as one looks at what that does."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from torch import nn

from pipeline.quantization.fake_quantize import WeightFakeQuantize
from pipeline.quantization.layers import FakeQuantizedWeight, fake_quantize_weight, mixins_of, set_mixins
from pipeline.quantization.prepare import Sites, weight_modules
from pipeline.quantization.scheme import NOT_QUANTIZED, Scheme


@contextmanager
def weights_quantized(
    model: nn.Module, sites: Sites, scheme: Scheme, modules: Collection[str], bits: float
) -> Iterator[None]:
    """Inside, these modules read their weights through the scheme's quantizers; no weight is changed.

    A learned scale is where training would start it.

    Args:
        model: a model none of whose weights is quantized; its activations may be.
        sites: where it can be quantized.
        scheme: its quantizers; its own bits of weights do not matter.
        modules: names of `weight_modules`.
        bits: of all of them; 32 quantizes nothing.
    """
    readers, tables = weight_modules(sites, scheme), {*sites.positions, *sites.matrix_of.values()}
    layers = []
    try:
        for name in modules if bits != NOT_QUANTIZED else ():
            quantizer = scheme.embedding_quantizer(bits) if name in tables else scheme.weight_quantizer(bits)
            weight = model.get_submodule(readers[name][0])._parameters["weight"]
            assert weight is not None
            quantize = WeightFakeQuantize(quantizer, weight)
            # Two users of one matrix may be one and the same module.
            for layer in {id(layer): layer for layer in map(model.get_submodule, readers[name])}.values():
                fake_quantize_weight(layer, quantize)
                layers.append(layer)
        yield
    finally:
        for layer in layers:
            set_mixins(layer, tuple(mixin for mixin in mixins_of(layer) if mixin is not FakeQuantizedWeight))
            del layer.weight_quantize


def single_modules(sites: Sites, scheme: Scheme) -> list[tuple[str, ...]]:
    """Every module in a group of its own."""
    return [(name,) for name in weight_modules(sites, scheme)]


def block_parts(sites: Sites, scheme: Scheme) -> list[tuple[str, ...]]:
    """The linear layers of an attention together, those of a feed-forward layer, and every table alone."""
    of_attention = {
        name: site.module for site in sites.attentions for name in (site.query, site.key, site.value, site.output)
    }
    parts: dict[str, tuple[str, ...]] = {}
    for name in weight_modules(sites, scheme):
        layer = re.match(r".+?\.\d+\.", name) if name in sites.linears else None
        part = of_attention.get(name, layer[0] if layer else name)
        parts[part] = (*parts.get(part, ()), name)
    return list(parts.values())
