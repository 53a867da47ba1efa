"""All laws over the objects of a render."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from infra.check.finding import Finding
from infra.check.laws.images import images
from infra.check.laws.kuberay import kuberay
from infra.check.laws.network import default_deny, namespaced, ports, selectors
from infra.check.laws.pod_security import namespaces, restricted, service_account_tokens
from infra.check.laws.references import references, unseen_pods, volumes
from infra.check.laws.resources import memory_volumes, quantities, resources
from infra.check.laws.schedules import deadlines, grace_periods, schedules
from infra.check.laws.secrets import literal_secrets
from infra.check.rendered import Render

LAWS: tuple[Callable[[Render], Iterator[Finding]], ...] = (
    *(images, references, volumes, unseen_pods),
    *(resources, quantities, memory_volumes),
    *(restricted, service_account_tokens, namespaces),
    *(selectors, ports, default_deny, namespaced),
    *(schedules, deadlines, grace_periods),
    *(literal_secrets, kuberay),
)


def broken_laws(render: Render) -> list[Finding]:
    """What all laws say of a render, each thing once."""
    return sorted({finding for law in LAWS for finding in law(render)})
