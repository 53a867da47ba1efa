"""Outputs of single modules, recorded during a forward pass: the queries, keys and values that relations compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import DistillationConfig
from pipeline.models.student import sites_of
from pipeline.pruning.heads import count_heads
from pipeline.quantization.prepare import AttentionSite, Sites

SIDES = ("encoder", "decoder")


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Where the relations of one side come from.

    Args:
        student: names of the query, key and value linears of one self-attention of the student.
        teacher: the same of the teacher.
        num_heads: that their outputs are cut into.
    """

    student: tuple[str, str, str]
    teacher: tuple[str, str, str]
    num_heads: int


def relations_of(weights: DistillationConfig, student: nn.Module, teacher: nn.Module) -> dict[str, Relation]:
    """Side -> where its relations come from; without the sides whose weight is 0.

    Args:
        weights: the student's losses.
        student: the model, before an engine takes it apart; its last layer is taken.
        teacher: its teacher; the layer is a setting.
    """
    found, mine, theirs = dict[str, Relation](), sites_of(student), sites_of(teacher)
    for side in SIDES:
        if getattr(weights, f"{side}_relations") > 0:
            site = _self_attention(theirs, side, getattr(weights, f"{side}_relation_layer"))
            found[side] = Relation(
                student=_linears(_self_attention(mine, side, None)),
                teacher=_linears(site),
                num_heads=weights.relation_heads or count_heads(teacher, site),
            )
    return found


def check_relations(weights: DistillationConfig, num_layers: Mapping[str, int], width: int) -> None:
    """Refuse relations that a teacher does not have.

    Args:
        weights: the losses of a student.
        num_layers: side -> layers of the teacher.
        width: of queries, keys and values.

    Raises:
        UserError: a layer out of range, or a number of heads that does not divide the width.
    """
    for side in SIDES:
        name, count = f"{side}_relation_layer", num_layers[side]
        layer = getattr(weights, name)
        if layer is not None and 0 < count <= layer:  # without a decoder its relations are left out
            raise UserError(
                f"recipe.distillation.{name}={layer} for a teacher of {count} {side} layers",
                f"0 to {count - 1}, or null for the last",
                f"set recipe.distillation.{name}={count - 1}",
            )
    heads = weights.relation_heads
    if heads is not None and width % heads:
        raise UserError(
            f"recipe.distillation.relation_heads={heads} for queries, keys and values of width {width}",
            "a divisor of the width, or null for the teacher's attention heads",
            "set recipe.distillation.relation_heads=null",
        )


def modules_named(model: nn.Module, names: Iterable[str]) -> dict[str, nn.Module]:
    """Modules of a model by absolute name."""
    return {name: model.get_submodule(name) for name in names}


@contextmanager
def recorded_outputs(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Name -> what each module returned last, filled while the context lasts; nothing stays on the modules."""
    outputs: dict[str, Tensor] = {}

    def recorder(name: str) -> Any:
        def record(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            outputs[name] = output

        return record

    with ExitStack() as hooks:
        for name, module in modules.items():
            hooks.enter_context(module.register_forward_hook(recorder(name)))
        yield outputs


def _self_attention(sites: Sites, side: str, layer: int | None) -> AttentionSite:
    """A side's self-attention; without a layer, the last."""
    found = {site.layer: site for site in sites.attentions if site.kind == side}
    return found[max(found) if layer is None else layer]


def _linears(site: AttentionSite) -> tuple[str, str, str]:
    return site.query, site.key, site.value
