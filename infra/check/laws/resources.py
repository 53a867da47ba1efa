"""Containers say what they need and what they may take at most."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.check.finding import Finding
from infra.check.pod_templates import pod_templates
from infra.check.quantities import quantity
from infra.check.rendered import Render, at, mapping, walk

CHECK = "law/resources"
# A limit of cpu is left to whoever writes the manifest: it slows a pod down where cores are idle.
NEEDED = (("requests", "memory"), ("limits", "memory"), ("requests", "cpu"), ("requests", "ephemeral-storage"))
_QUANTITIES = ("requests", "limits", "capacity", "hard", "min", "max", "minAvailableResources")


def resources(render: Render) -> Iterator[Finding]:
    """Memory, cpu and local disk are asked for, memory is limited, and no request is above its limit."""
    for manifest in render.objects:
        for template in pod_templates(manifest):
            for container in template.containers:
                said = mapping(container.body.get("resources"))
                path = f"{container.path}.resources"
                for kind, name in NEEDED:
                    if name not in mapping(said.get(kind)):
                        problem = f"{kind}.{name} is not given"
                        change = "give it: what is not asked for is taken from others"
                        yield render.finding(CHECK, manifest, path, problem, change)
                for problem in _contradictions(said):
                    yield render.finding(CHECK, manifest, path, problem, "correct one of them")


def _contradictions(said: dict[str, Any]) -> Iterator[str]:
    requests, limits = mapping(said.get("requests")), mapping(said.get("limits"))
    for kind, amounts in (("requests", requests), ("limits", limits)):
        for name, amount in amounts.items():
            number = quantity(amount)
            if number is None:
                yield f"{kind}.{name}={amount} is no quantity"
            elif number < 0 or (number == 0 and name == "memory"):
                yield f"{kind}.{name}={amount} is too little"
    for name in requests.keys() & limits.keys():
        request, limit = quantity(requests[name]), quantity(limits[name])
        if request is not None and limit is not None and request > limit:
            yield f"requests.{name}={requests[name]} is above limits.{name}={limits[name]}"


def quantities(render: Render) -> Iterator[Finding]:
    """What volumes and quotas ask for are quantities: schemas of built-in kinds take any text."""
    for manifest in render.objects:
        inside = tuple(f"{one.path}.resources" for template in pod_templates(manifest) for one in template.containers)
        for path, value in walk(manifest.get("spec"), "spec"):
            if path.rpartition(".")[2] not in _QUANTITIES or path.startswith(inside) or not isinstance(value, dict):
                continue
            for name, amount in value.items():
                if isinstance(amount, str) and quantity(amount) is None:
                    problem = f"{name}={amount} is no quantity"
                    yield render.finding(CHECK, manifest, f"{path}.{name}", problem, "write it as in 10Gi or 500m")
        for size_path, size in walk(manifest.get("spec"), "spec"):
            if size_path.endswith("sizeLimit") and quantity(size) is None:
                yield render.finding(CHECK, manifest, size_path, f"{size} is no quantity", "write it as in 10Gi")


def memory_volumes(render: Render) -> Iterator[Finding]:
    """A volume in memory or on the node's disk has a limit: without one it can fill the node."""
    for manifest in render.objects:
        for template in pod_templates(manifest):
            for path, value in walk(template.spec.get("volumes"), "volumes"):
                if path.endswith(".emptyDir") and at(value, "sizeLimit") is None:
                    where = f"{template.path}.spec.{path}" if template.path else f"spec.{path}"
                    problem = "an emptyDir without sizeLimit can fill the node"
                    yield render.finding(CHECK, manifest, where, problem, "give it a sizeLimit")
