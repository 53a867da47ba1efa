"""Pods are what Kubernetes' standard "restricted" asks for, and cannot write where nothing is mounted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.check.finding import Finding
from infra.check.pod_templates import Container, PodTemplate, pod_templates
from infra.check.rendered import Manifest, Render, at, mapping, name_of, namespace_of, sequence

CHECK, TOKEN_CHECK, ACCOUNT_CHECK = "law/restricted", "law/service-account-token", "law/service-account"
_HOST = ("hostNetwork", "hostPID", "hostIPC")
# What "restricted" lets a volume be.
_VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected"),
    "secret",
}
_SECCOMP = ("RuntimeDefault", "Localhost")


def restricted(render: Render) -> Iterator[Finding]:
    """Neither root nor privileges nor the host; all capabilities dropped; a root file system that is read only."""
    for manifest in render.objects:
        for template in pod_templates(manifest):
            path = f"{template.path}.spec" if template.path else "spec"
            for problem, change in _of_pod(template):
                yield render.finding(CHECK, manifest, path, problem, change)
            for container in template.containers:
                pod_wide = mapping(template.spec.get("securityContext"))
                for problem, change in _of_container(container, pod_wide):
                    yield render.finding(CHECK, manifest, container.path, problem, change)


def _of_pod(template: PodTemplate) -> Iterator[tuple[str, str]]:
    for name in _HOST:
        if template.spec.get(name):
            yield f"{name} is on", "remove it"
    for volume in sequence(template.spec.get("volumes")):
        for kind in sorted(set(mapping(volume)) - {"name"} - _VOLUMES):
            yield f"volume '{mapping(volume).get('name')}' is of kind {kind}", "mount a claim instead"


def _of_container(container: Container, pod_wide: dict[str, Any]) -> Iterator[tuple[str, str]]:
    own = mapping(container.body.get("securityContext"))
    both = pod_wide | own
    if both.get("runAsNonRoot") is not True:
        yield "it may run as root", "set runAsNonRoot: true in its securityContext or the pod's"
    if both.get("runAsUser") == 0:
        yield "it runs as root", "set runAsUser to another number"
    if at(both, "seccompProfile.type") not in _SECCOMP:
        yield "no seccomp profile", "set seccompProfile.type: RuntimeDefault in its securityContext or the pod's"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "it may gain privileges", "set securityContext.allowPrivilegeEscalation: false"
    if own.get("privileged"):
        yield "it is privileged", "remove securityContext.privileged"
    if "ALL" not in sequence(at(own, "capabilities.drop")):
        yield "it keeps capabilities", "set securityContext.capabilities.drop: [ALL]"
    if added := sorted(set(map(str, sequence(at(own, "capabilities.add")))) - {"NET_BIND_SERVICE"}):
        yield f"it adds capabilities: {', '.join(added)}", "remove them"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "its root file system can be written", "set readOnlyRootFilesystem: true and mount what it writes to"
    if any(mapping(port).get("hostPort") for port in sequence(container.body.get("ports"))):
        yield "it takes a port of its node", "remove hostPort; a Service finds it"


def service_account_tokens(render: Render) -> Iterator[Finding]:
    """No pod gets a token of Kubernetes' API that it does not use, nor the account that all share."""
    accounts = {
        (name_of(one), namespace_of(one)): one
        for one in (*render.already_there, *render.objects)
        if one.get("kind") == "ServiceAccount"
    }
    for manifest in render.objects:
        for template in pod_templates(manifest):
            path = f"{template.path}.spec" if template.path else "spec"
            account = str(template.spec.get("serviceAccountName") or "")
            mounts = template.spec.get("automountServiceAccountToken")
            if mounts is None:  # then the account says it
                mounts = accounts.get((account, namespace_of(manifest)), {}).get("automountServiceAccountToken")
            if mounts is not False:
                change = "set automountServiceAccountToken: false, or explain in exceptions.yaml what it is for"
                yield render.finding(TOKEN_CHECK, manifest, path, "it gets a token of Kubernetes' API", change)
            if account in ("", "default"):
                change = "set serviceAccountName to one of its own that has no rights"
                yield render.finding(ACCOUNT_CHECK, manifest, path, "it uses the account that all share", change)
        if manifest.get("kind") == "ServiceAccount" and manifest.get("automountServiceAccountToken") is not False:
            change = "set automountServiceAccountToken: false; a pod that needs a token can ask for it"
            problem = "every pod with this account gets a token unless it refuses"
            yield render.finding(TOKEN_CHECK, manifest, "automountServiceAccountToken", problem, change)


def namespaces(render: Render) -> Iterator[Finding]:
    """A namespace of ours refuses every pod that is not restricted, whoever makes it."""
    for manifest in render.objects:
        if manifest.get("kind") == "Namespace":
            labels: Manifest = mapping(at(manifest, "metadata.labels"))
            if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
                problem = "the namespace takes pods that are not restricted"
                change = "label it pod-security.kubernetes.io/enforce: restricted"
                yield render.finding("law/namespace", manifest, "metadata.labels", problem, change)
