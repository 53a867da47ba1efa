"""Bits that fall during training: full precision first, then coarser grids, last the student's own."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.quantization.prepare import Sites, use_scheme
from pipeline.quantization.scheme import NOT_QUANTIZED, Scheme, scheme_of
from pipeline.quantization.settings import CHANGE_SCHEDULE, schedule_entries


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A scheme that holds until an optimiser step, or until a part of them (below 1)."""

    until: float
    scheme: Scheme

    def ends_at(self, num_steps: int) -> int:
        """The first optimiser step of what follows."""
        return math.ceil(round(self.until * num_steps, 9)) if self.until < 1 else int(self.until)


def phases_of(schedule: list[str], quantization: QuantizationConfig, final: Scheme) -> list[Phase]:
    """The phases of entries `until=W-E-A`.

    Args:
        schedule: the entries.
        quantization: quantizer settings of all phases.
        final: the student's own scheme, for which its learned scales are.

    Raises:
        UserError: an entry that is none, ends that do not rise, a phase whose quantizers would have to learn a scale.
    """
    known = {float(NOT_QUANTIZED), final.activation_bits}  # activations that are left alone, or have a scale
    phases: list[Phase] = []
    for entry, until, name in schedule_entries(schedule):
        scheme = scheme_of(name, quantization)
        tables = {scheme.embedding_bits, scheme.position_bits}
        used = [scheme.weight_quantizer(bits) for bits in {scheme.weight_bits} - {NOT_QUANTIZED}]
        used += [scheme.embedding_quantizer(bits) for bits in tables - {NOT_QUANTIZED}]
        if any(quantizer.learned for quantizer in used):
            raise UserError(
                f"recipe.schedule entry '{entry}' with a quantizer that learns its scale",
                "quantizers without parameters on the way; the student's own scheme may learn",
                CHANGE_SCHEDULE,
            )
        learns = quantization.activation_granularity == "learned" and final.activation_bits != NOT_QUANTIZED
        if learns and scheme.activation_bits not in known:
            raise UserError(
                f"recipe.schedule entry '{entry}' of a student {final.name} whose activation scales are learned",
                f"{' or '.join(f'{bits:g}' for bits in sorted(known))} bits of activations on the way",
                f"{CHANGE_SCHEDULE}, or set recipe.quantization.activation_granularity=per_token",
            )
        phases.append(Phase(until=until, scheme=scheme))
    return phases


class BitSchedule:
    """Switches a prepared model between its phases; what its own scheme leaves alone is always left alone.

    Args:
        model: a prepared model.
        sites: where it can be quantized.
        phases: schemes on the way.
        final: the scheme that the model was prepared for.
        num_steps: optimiser steps of the training.

    Raises:
        UserError: a phase that ends after the training does.
    """

    def __init__(self, model: nn.Module, sites: Sites, phases: list[Phase], final: Scheme, num_steps: int) -> None:
        self.model, self.sites, self.final = model, sites, final
        self.ends = [(phase.ends_at(num_steps), phase.scheme) for phase in phases]
        if self.ends and self.ends[-1][0] >= num_steps:
            raise UserError(
                f"recipe.schedule ends at step {self.ends[-1][0]} of {num_steps}",
                "an end before the last step, so that the student's own scheme is trained",
                CHANGE_SCHEDULE,
            )
        self.current = final

    def __call__(self, step: int) -> None:
        """Switch to the scheme of an optimiser step, counted from 0; after a resumption, too."""
        scheme = next((scheme for end, scheme in self.ends if step < end), self.final)
        if scheme is self.current:
            return
        self.current = scheme
        use_scheme(self.model, self.sites, scheme)
