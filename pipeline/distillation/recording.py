"""Outputs of single modules, recorded during a forward pass: the queries, keys and values that relations compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import DistillationConfig
from pipeline.quantization.prepare import Sites

SIDES = ("encoder", "decoder")


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Names of the query, key and value linears of one self-attention of the student and of the teacher."""

    student: tuple[str, str, str]
    teacher: tuple[str, str, str]


def relations_of(weights: DistillationConfig, student: Sites, teacher: Sites) -> dict[str, Relation]:
    """Side -> which linears its relations come from; without the sides whose weight is 0.

    Args:
        weights: the student's losses.
        student: its sites; its last layer is taken.
        teacher: the teacher's sites; the layer is a setting.
    """
    return {
        side: Relation(
            student=_self_attention(student, side, None),
            teacher=_self_attention(teacher, side, getattr(weights, f"{side}_relation_layer")),
        )
        for side in SIDES
        if getattr(weights, f"{side}_relations") > 0
    }


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


def _self_attention(sites: Sites, side: str, layer: int | None) -> tuple[str, str, str]:
    """Query, key and value linear of a side's self-attention; without a layer, of the last."""
    found = {site.layer: (site.query, site.key, site.value) for site in sites.attentions if site.kind == side}
    return found[max(found) if layer is None else layer]
