"""What KubeRay's operator refuses after the server has taken it, and what this project asks of its clusters.

The operator's rules are those of its file controllers/ray/utils/validation.go in August 2026, after KubeRay 1.7.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from infra.check.documents import DocumentError, yaml_documents
from infra.check.finding import Finding
from infra.check.laws.references import QUEUE_LABEL
from infra.check.pod_templates import ray_specifications
from infra.check.rendered import Manifest, Render, at, is_number, joined, mapping, name_of, sequence

CHECK, TOKEN = "law/kuberay", "law/ray-token"
# The operator makes names of pods and services from them.
LONGEST_NAMES = {"RayCluster": 53, "RayService": 47, "RayJob": 47, "RayCronJob": 36}
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")  # DNS-1035: a service gets it
_OLDEST_WITH_TOKENS = (2, 52)
_COUNTED = {"num-cpus", "num-gpus", "memory", "resources"}
Problem = tuple[str, str, str]  # path, problem, change


def kuberay(render: Render) -> Iterator[Finding]:
    """Names fit, numbers of workers agree, jobs have one cluster and one way to end; tokens are asked for."""
    for manifest in render.objects:
        paths = ray_specifications(manifest)
        if paths is None:
            continue
        cluster_path, job_path = paths
        problems = [*_name(manifest)]
        cluster = at(manifest, cluster_path)
        if isinstance(cluster, dict):
            problems += _cluster(cluster_path, cluster)
            for path, problem, change in _token(cluster_path, cluster):
                yield render.finding(TOKEN, manifest, path, problem, change)
        if job_path is not None:
            is_queued = QUEUE_LABEL in mapping(at(manifest, "metadata.labels"))
            problems += _job(job_path, mapping(at(manifest, job_path)), is_queued)
        for path, problem, change in problems:
            yield render.finding(CHECK, manifest, path, problem, change)


def _name(manifest: Manifest) -> Iterator[Problem]:
    name, longest = name_of(manifest), LONGEST_NAMES[str(manifest.get("kind"))]
    if len(name) > longest:
        yield "metadata.name", f"{len(name)} characters, and the operator takes {longest}", "shorten it"
    if not _NAME.fullmatch(name):
        yield "metadata.name", f"'{name}' is no name of a service", "use a-z, 0-9 and -, a letter first"


def _token(path: str, cluster: dict[str, Any]) -> Iterator[Problem]:
    if at(cluster, "authOptions.mode") != "token":
        yield joined(path, "authOptions"), "whoever reaches the cluster can run code in it", "set mode: token"
        return
    version = tuple(int(part) for part in re.findall(r"\d+", str(cluster.get("rayVersion") or ""))[:2])
    if version < _OLDEST_WITH_TOKENS:
        problem = f"rayVersion '{cluster.get('rayVersion', '')}', and tokens need 2.52 or newer"
        yield joined(path, "rayVersion"), problem, "set rayVersion to the image's"


def _cluster(path: str, cluster: dict[str, Any]) -> Iterator[Problem]:
    scales = bool(cluster.get("enableInTreeAutoscaling"))
    for number, group in enumerate(map(mapping, sequence(cluster.get("workerGroupSpecs")))):
        where = f"{path}.workerGroupSpecs[{number}]"
        least, most = group.get("minReplicas"), group.get("maxReplicas")
        if least is None or most is None:
            yield where, "minReplicas and maxReplicas are not both given", "give both: the default of one is no limit"
        elif not is_number(least) or not is_number(most) or not 0 <= least <= most:
            yield where, f"minReplicas={least}, maxReplicas={most}", "give a least that is not above the most"
        elif not scales and least != most and group.get("replicas") is None:
            yield where, "replicas is not given and nothing scales the group", "give replicas"
        yield from _group(where, group)
        if scales and group.get("suspend"):
            yield where, "a group of a cluster that scales cannot be suspended", "remove suspend"
    yield from _group(f"{path}.headGroupSpec", mapping(cluster.get("headGroupSpec")))
    for where, restarts in _restart_policies(path, cluster):
        if at(cluster, "autoscalerOptions.version") == "v2" and restarts not in (None, "Never"):
            yield where, f"restartPolicy {restarts}, and autoscaler v2 takes Never alone", "set or remove it"


def _group(path: str, group: dict[str, Any]) -> Iterator[Problem]:
    started = mapping(group.get("rayStartParams"))
    if group.get("resources") and (twice := sorted(_COUNTED & started.keys())):
        yield path, f"{', '.join(twice)} in rayStartParams beside resources", "give one of them"
    if "labels" in started:
        yield f"{path}.rayStartParams", "labels are not taken here", "give them in `labels` of the group"


def _restart_policies(path: str, cluster: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield f"{path}.headGroupSpec.template.spec", at(cluster, "headGroupSpec.template.spec.restartPolicy")
    for number, group in enumerate(sequence(cluster.get("workerGroupSpecs"))):
        yield f"{path}.workerGroupSpecs[{number}].template.spec", at(group, "template.spec.restartPolicy")


def _job(path: str, job: dict[str, Any], is_queued: bool) -> Iterator[Problem]:
    mode = job.get("submissionMode", "K8sJobMode")
    if bool(job.get("rayClusterSpec")) == bool(job.get("clusterSelector")):
        yield path, "it needs either rayClusterSpec or clusterSelector", "give one of them"
    rules = at(job, "deletionStrategy.deletionRules")
    if rules and job.get("shutdownAfterJobFinishes"):
        yield path, "shutdownAfterJobFinishes and deletionRules exclude each other", "remove one of them"
    if job.get("ttlSecondsAfterFinished") and not job.get("shutdownAfterJobFinishes"):
        yield path, "ttlSecondsAfterFinished without shutdownAfterJobFinishes", "set both, or use deletionRules"
    if (job.get("suspend") or is_queued) and not job.get("shutdownAfterJobFinishes"):
        problem = "a job that is suspended, as Kueue does with what waits in a queue, must remove its cluster itself"
        yield path, problem, "set shutdownAfterJobFinishes: true, and no deletionRules"
    if job.get("clusterSelector") and (job.get("backoffLimit") or job.get("suspend") or mode == "SidecarMode"):
        yield path, "with clusterSelector there is no backoffLimit, no suspend and no SidecarMode", "remove them"
    if mode == "SidecarMode" and (job.get("submitterPodTemplate") or job.get("submitterConfig")):
        yield path, "SidecarMode has no submitterPodTemplate and no submitterConfig", "remove them"
    if mode == "K8sJobMode" and not job.get("submitterPodTemplate"):
        problem = "without submitterPodTemplate the operator makes a pod that is not restricted"
        yield path, problem, "give submitterPodTemplate with a securityContext"
    if mode == "InteractiveMode" and job.get("backoffLimit"):
        yield path, "InteractiveMode has no backoffLimit", "set it to 0"
    try:
        environment = yaml_documents(str(job.get("runtimeEnvYAML") or ""))
    except DocumentError as error:
        yield joined(path, "runtimeEnvYAML"), f"no YAML: {error}", "correct it"
    else:
        if environment and not isinstance(environment[0], dict):
            yield joined(path, "runtimeEnvYAML"), "no mapping", "write it as in `env_vars: {...}`"
