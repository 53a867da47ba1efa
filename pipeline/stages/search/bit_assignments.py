"""Bits of every module of a student within a budget of bytes: the best, others of the front, uniform ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.config.sections.search_space import MixedBitsConfig
from pipeline.config.sections.sweep import StudentConfig
from pipeline.evaluation.sensitivity import Sensitivity
from pipeline.export.package_bytes import bit_choices, bytes_by_bits, package_bytes
from pipeline.models.student import sites_of
from pipeline.quantization.bit_patterns import patterns_for
from pipeline.quantization.prepare import module_bits
from pipeline.quantization.scheme import Scheme, scheme_of
from pipeline.search.mixed_bits import BitAssignment, best_assignment

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MIB = 2**20
NUM_BUDGETS = 12  # of the front, evenly between the least and the most bytes


@dataclass(frozen=True, kw_only=True)
class Assigned:
    """A student with bits of its own for every module.

    Args:
        student: as a sweep trains it.
        size_bytes: of its package.
        bits: module -> its bits.
        loss: before, and what the modules add, each measured alone.
        gap: what the solver leaves open of the loss.
    """

    student: StudentConfig
    size_bytes: int
    bits: Mapping[str, float]
    loss: float
    gap: float


def mixed_scheme(
    mixed: MixedBitsConfig,
    quantization: QuantizationConfig,
    weights: float,
    embeddings: float,
    bits: Sequence[str] = (),
) -> Scheme:
    """A scheme of the search's activations.

    Args:
        mixed: says which activations.
        quantization: the recipe's.
        weights: bits of linear layers.
        embeddings: bits of the token table.
        bits: of single modules by pattern.
    """
    settings = replace(quantization, bits=list(bits))
    return scheme_of(f"{weights:g}-{embeddings:g}-{mixed.activation_bits}", settings)


class BitAssignments:
    """Assigns bits to the modules of one student.

    Args:
        mixed: what a module may have.
        quantization: the recipe's.
        model: the student in full precision, with whatever weights.
        found: what every group of modules does to the loss.
    """

    def __init__(
        self,
        mixed: MixedBitsConfig,
        quantization: QuantizationConfig,
        model: PreTrainedModel,
        found: Sequence[Sensitivity],
    ) -> None:
        self.mixed, self.quantization, self.model, self.found = mixed, quantization, model, found
        self.sites, self.loss_before = sites_of(model), found[0].loss_before
        self.sizes = bytes_by_bits(model, self._scheme(mixed.bits[0], mixed.bits[0]), mixed.bits)
        self.choices = bit_choices(found, self.sizes)

    def best(self, budget: int) -> Assigned:
        """The least loss within a budget of the whole file.

        Sizes of modules add up to some bytes more than the file has: what that leaves of the budget is spent, too, as
        far as the file then fits.

        Args:
            budget: bytes of the packed weights.

        Raises:
            UserError: a budget that even the fewest bits exceed.
        """
        least = sum(min(o.num_bytes for o in choice.options if math.isfinite(o.loss)) for choice in self.choices)
        fewest = self._student(best_assignment(self.choices, least), budget)
        if fewest.size_bytes > budget:
            raise UserError(
                f"search.mixed.max_mib={self.mixed.max_mib:g}, which is {budget} bytes",
                f"{fewest.size_bytes} bytes or more, which the fewest bits take",
                f"raise search.mixed.max_mib to {math.ceil(fewest.size_bytes / MIB * 1e4) / 1e4:g}, "
                "or offer fewer bits in search.mixed.bits",
            )
        slack = self.sizes.rest + least - fewest.size_bytes
        for extra in (slack, slack // 2, slack // 4, 0):
            if (room := budget - self.sizes.rest + extra) >= least:
                found = self._student(best_assignment(self.choices, room), budget)
                if found.size_bytes <= budget:
                    return found
        return fewest

    def front(self) -> list[Assigned]:
        """The best assignments of some budgets, from the least bytes to the most; equal ones once."""
        ends = [sum(pick(o.num_bytes for o in choice.options) for choice in self.choices) for pick in (min, max)]
        step = (ends[1] - ends[0]) / (NUM_BUDGETS - 1)
        budgets = [self.sizes.rest + ends[0] + round(number * step) for number in range(NUM_BUDGETS)]
        found = {one.size_bytes: one for one in map(self.best, budgets)}
        return [found[size] for size in sorted(found)]

    def best_uniform(self, budget: int) -> dict[str, Any] | None:
        """Of one number of bits for all layers and one for the token table: the least loss within the budget."""
        candidates = []
        for weights, embeddings in itertools.product(self.mixed.bits, self.mixed.bits):
            scheme = self._scheme(weights, embeddings)
            size, bits = package_bytes(self.model, scheme), module_bits(self.sites, scheme)
            rises = [one.rises.get(bits[one.modules[0]]) for one in self.found]
            known = [rise for rise in rises if rise is not None and math.isfinite(rise)]
            if size <= budget and len(known) == len(rises):
                candidates.append({"scheme": scheme.name, "bytes": size, "error": self.loss_before + sum(known)})
        return min(candidates, key=lambda one: (one["error"], one["bytes"]), default=None)

    def _scheme(self, weights: float, embeddings: float, bits: Sequence[str] = ()) -> Scheme:
        return mixed_scheme(self.mixed, self.quantization, weights, embeddings, bits)

    def _student(self, answer: BitAssignment, budget: int) -> Assigned:
        """The assignment as a student: the bits that most modules have are its scheme's, the others are patterns."""
        of_linears = [answer.bits[name] for name in self.sites.linears if name in answer.bits]
        usual = max(self.mixed.bits, key=of_linears.count)
        table = answer.bits.get(self.sites.matrix_of[self.sites.embeddings[0]], usual)
        entries = patterns_for(answer.bits, module_bits(self.sites, self._scheme(usual, table)))
        scheme = self._scheme(usual, table, entries)
        student = StudentConfig(
            scheme=scheme.name,
            depth=self.mixed.depth,
            label=f"mixed {budget / MIB:.3g} MiB",
            recipe={"quantization": {"bits": entries}},
        )
        size = package_bytes(self.model, scheme)
        loss = self.loss_before + answer.loss
        return Assigned(student=student, size_bytes=size, bits=answer.bits, loss=loss, gap=answer.gap)
