"""Laws over rendered objects: a small good render breaks none, each change for the worse the one that it should."""

import copy
import random

import pytest
from small_infra import BY_HAND, DIGEST, IMAGE_NAMES, container, deployment, good_objects, in_namespace, pod, ray_job

from infra.check.laws.catalogue import broken_laws
from infra.check.rendered import Render

MADE_BY_HAND = frozenset((one["kind"], one["name"]) for one in BY_HAND)
HEAD, WORKER = "spec.headGroupSpec.template.spec", "spec.workerGroupSpecs.0.template.spec"
NIGHT = "spec.jobTemplate.spec.template.spec"


def render_of(objects, **options):
    options = {"image_names": IMAGE_NAMES, "made_by_hand": MADE_BY_HAND} | options
    return Render(source="overlay", objects=objects, **options)


def changed(kind, path, value, name=None):
    """The good objects with one value set; `...` removes it."""
    objects = good_objects()
    chosen = next(one for one in objects if one["kind"] == kind and name in (None, one["metadata"]["name"]))
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("|")]
    place = chosen
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return objects


def at(path):
    """A dotted path as `changed` takes it: label keys have dots, too."""
    return path.replace(".", "|")


BAD = {
    "a tag that can be pushed again": ("Deployment", at("spec.template.spec.containers.0.image"), "x/y:1", "law/image"),
    "latest": ("CronJob", at(f"{NIGHT}.containers.0.image"), "registry.example/dq-pipeline:latest", "law/image"),
    "no tag": ("CronJob", at(f"{NIGHT}.containers.0.image"), "registry.example/dq-pipeline", "law/image"),
    "a secret that is not there": (
        *("RayCluster", at(f"{HEAD}.containers.0.env.0.valueFrom.secretKeyRef.name"), "other", "law/reference"),
    ),
    "a claim that is not there": (
        *("RayCluster", at(f"{WORKER}.volumes.1.persistentVolumeClaim.claimName"), "other", "law/reference"),
    ),
    "an account that is not there": ("CronJob", at(f"{NIGHT}.serviceAccountName"), "other", "law/reference"),
    "a class that is not there": ("PersistentVolumeClaim", at("spec.storageClassName"), "fast", "law/reference"),
    "a queue that is not there": (
        *("RayJob", "metadata|labels", {"kueue.x-k8s.io/queue-name": "gpus"}, "law/reference"),
    ),
    "a mount without a volume": ("CronJob", at(f"{NIGHT}.containers.0.volumeMounts.0.name"), "other", "law/volume"),
    "no limit of memory": ("CronJob", at(f"{NIGHT}.containers.0.resources.limits.memory"), ..., "law/resources"),
    "no request of disk": (
        *("RayCluster", at(f"{HEAD}.containers.0.resources.requests.ephemeral-storage"), ..., "law/resources"),
    ),
    "a request above its limit": (
        *("Deployment", at("spec.template.spec.containers.0.resources.requests.memory"), "3Gi", "law/resources"),
    ),
    "no quantity": ("PersistentVolumeClaim", at("spec.resources.requests.storage"), "100 GB", "law/resources"),
    "a volume that can fill the node": ("CronJob", at(f"{NIGHT}.volumes.0.emptyDir"), {}, "law/resources"),
    "root": (
        *("RayJob", at("spec.submitterPodTemplate.spec.containers.0.securityContext.runAsNonRoot"), False),
        "law/restricted",
    ),
    "privileges": (
        *("CronJob", at(f"{NIGHT}.containers.0.securityContext.allowPrivilegeEscalation"), ..., "law/restricted"),
    ),
    "capabilities": ("CronJob", at(f"{NIGHT}.containers.0.securityContext.capabilities"), ..., "law/restricted"),
    "a capability that is added": (
        *("CronJob", at(f"{NIGHT}.containers.0.securityContext.capabilities.add"), ["SYS_ADMIN"], "law/restricted"),
    ),
    "a root file system that can be written": (
        *("RayCluster", at(f"{WORKER}.containers.0.securityContext.readOnlyRootFilesystem"), False, "law/restricted"),
    ),
    "the host's network": ("RayCluster", at(f"{HEAD}.hostNetwork"), True, "law/restricted"),
    "the host's disk": (
        *("CronJob", at(f"{NIGHT}.volumes.0"), {"name": "scratch", "hostPath": {"path": "/"}}, "law/restricted"),
    ),
    "a token nobody uses": (
        "RayCluster",
        at(f"{HEAD}.automountServiceAccountToken"),
        True,
        "law/service-account-token",
    ),
    "the account of all": ("CronJob", at(f"{NIGHT}.serviceAccountName"), "default", "law/service-account"),
    "an account that gives tokens": (
        *("ServiceAccount", "automountServiceAccountToken", ..., "law/service-account-token"),
    ),
    "a namespace that takes any pod": (
        *("Namespace", "metadata|labels|pod-security.kubernetes.io/enforce", "baseline", "law/namespace"),
    ),
    "no namespace": ("CronJob", "metadata|namespace", ..., "law/namespace"),
    "a service without pods": ("Service", "spec|selector", {"app": "other"}, "law/selector"),
    "a budget for another cluster": (
        *("PodDisruptionBudget", "spec|selector|matchLabels|ray.io/cluster", "other", "law/selector"),
    ),
    "a policy from nobody": (
        "NetworkPolicy",
        "spec|ingress|0|from|0|podSelector|matchLabels|ray.io/is-ray-node",
        *("true", "law/selector", "head"),
    ),
    "a deployment without its pods": ("Deployment", at("spec.selector.matchLabels.app"), "other", "law/selector"),
    "a port without a container": ("Service", at("spec.ports.0.targetPort"), "grpc", "law/port"),
    "a policy that allows": ("NetworkPolicy", at("spec.egress"), [{}], "law/default-deny", "default-deny"),
    "a policy that lets in": ("NetworkPolicy", at("spec.ingress"), [{}], "law/default-deny", "default-deny"),
    "a policy of one direction": ("NetworkPolicy", at("spec.policyTypes"), ["Egress"], "law/default-deny"),
    "two nights at once": ("CronJob", at("spec.concurrencyPolicy"), "Allow", "law/schedule"),
    "a night that begins at noon": ("CronJob", at("spec.startingDeadlineSeconds"), ..., "law/schedule"),
    "a night without end": ("CronJob", at("spec.jobTemplate.spec.activeDeadlineSeconds"), ..., "law/deadline"),
    "a sweep without end": ("RayJob", at("spec.activeDeadlineSeconds"), ..., "law/deadline"),
    "a cluster that stays": ("RayJob", at("spec.ttlSecondsAfterFinished"), ..., "law/deadline"),
    "too short to save": ("RayCluster", at(f"{WORKER}.terminationGracePeriodSeconds"), 30, "law/grace-period"),
    "the default is too short": ("RayCluster", at(f"{HEAD}.terminationGracePeriodSeconds"), ..., "law/grace-period"),
    "a password": (
        *("RayCluster", at(f"{HEAD}.containers.0.env.1"), {"name": "DB_PASSWORD", "value": "kan4ri"}),
        "law/literal-secret",
    ),
    "a login in an address": (
        *("RayJob", at("spec.entrypoint"), "python jobs/x.py tracking.uri=https://u:kan4ri@h", "law/literal-secret"),
    ),
    "a cluster without a token": ("RayCluster", at("spec.authOptions.mode"), "disabled", "law/ray-token"),
    "a Ray without tokens": ("RayCluster", at("spec.rayVersion"), "2.51.1", "law/ray-token"),
    "more at least than at most": ("RayCluster", at("spec.workerGroupSpecs.0.minReplicas"), 2, "law/kuberay"),
    "a submitter of KubeRay's": ("RayJob", at("spec.submitterPodTemplate"), ..., "law/kuberay"),
    "no cluster": ("RayJob", at("spec.rayClusterSpec"), ..., "law/kuberay"),
    "a job that ends in two ways": (
        *("RayJob", at("spec.deletionStrategy"), {"deletionRules": [{"policy": "DeleteCluster"}]}, "law/kuberay"),
    ),
    "an environment that is none": ("RayJob", at("spec.runtimeEnvYAML"), "env_vars: [", "law/kuberay"),
}
# What follows from it.
ALSO = {"no namespace": {"law/reference"}}
# Nothing is denied to pods: it is said of the first object that has some.
SAID_OF = {"law/default-deny": "RayCluster"}


def test_a_good_render_breaks_no_law():
    """Otherwise people would learn to look past findings."""
    assert broken_laws(render_of(good_objects())) == []


@pytest.mark.parametrize("name", BAD)
def test_one_change_for_the_worse_is_found_where_it_is(name):
    """By the law that is about it and no other, at the object that was changed."""
    kind, path, value, check, *chosen = BAD[name]
    found = broken_laws(render_of(changed(kind, path, value, *chosen)))
    assert {one.check for one in found} == {check} | ALSO.get(name, set())
    assert SAID_OF.get(check, kind) in {one.object.partition("/")[0] for one in found}
    assert all(one.problem and one.change and one.source == "overlay" for one in found)
    assert "kan4ri" not in "".join(map(str, found))


def test_a_name_that_the_operator_would_cut_is_refused():
    """It makes names of services from it."""
    objects = good_objects()
    job = next(one for one in objects if one["kind"] == "RayJob")
    job["metadata"]["name"] = "s" * 47
    assert broken_laws(render_of(objects)) == []
    job["metadata"]["name"] = "s" * 48
    assert {one.check for one in broken_laws(render_of(objects))} == {"law/kuberay"}


def test_a_job_in_a_queue_removes_its_cluster_itself():
    """Kueue suspends it, and KubeRay refuses to suspend one with deletion rules."""
    objects = good_objects()
    job = next(one for one in objects if one["kind"] == "RayJob")
    job["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "gpus"}
    by_hand = MADE_BY_HAND | {("LocalQueue", "gpus")}
    assert broken_laws(render_of(objects, made_by_hand=by_hand)) == []
    for name in ("shutdownAfterJobFinishes", "ttlSecondsAfterFinished"):
        del job["spec"][name]
    job["spec"]["deletionStrategy"] = {"deletionRules": [{"policy": "DeleteCluster"}]}
    assert {one.check for one in broken_laws(render_of(objects, made_by_hand=by_hand))} == {"law/kuberay"}


def test_what_the_overlay_around_has_made_is_there():
    """A sweep is applied to a namespace that has its claim, its account and its policies; alone it has none of them."""
    sweep, others = [in_namespace(ray_job())], [one for one in good_objects() if one["kind"] != "RayJob"]
    assert broken_laws(render_of(sweep, already_there=others)) == []
    checks = {one.check for one in broken_laws(render_of(sweep))}
    assert checks == {"law/reference", "law/default-deny"}


def test_pods_of_a_sweep_below_count_for_selectors_but_its_objects_do_not_for_references():
    """A policy may be for pods that come later; what pods mount must be there before."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "submitters"},
        "spec": {
            "podSelector": {"matchLabels": {"ray.io/originated-from-cr-name": "sweep"}},
            "policyTypes": ["Ingress"],
        },
    }
    objects = [one for one in good_objects() if one["kind"] != "RayJob"] + [in_namespace(policy)]
    assert {one.check for one in broken_laws(render_of(objects))} == {"law/selector"}
    assert broken_laws(render_of(objects, applied_later=[in_namespace(ray_job())])) == []
    account = next(one for one in objects if one["kind"] == "ServiceAccount")
    rest = [one for one in objects if one is not account and one["metadata"]["name"] != "submitters"]
    assert "law/reference" in {one.check for one in broken_laws(render_of(rest, applied_later=[account]))}


def test_an_autoscaler_is_a_container_like_others():
    """KubeRay adds it to the head, with resources and rights that `autoscalerOptions` says."""
    objects = good_objects()
    spec = next(one for one in objects if one["kind"] == "RayCluster")["spec"]
    spec["enableInTreeAutoscaling"] = True
    found = broken_laws(render_of(objects))
    assert {one.check for one in found} == {"law/resources", "law/restricted"}
    assert {one.path.removesuffix(".resources") for one in found} == {"spec.autoscalerOptions"}
    body = container("autoscaler")
    spec["autoscalerOptions"] = {key: body[key] for key in ("resources", "securityContext")}
    assert broken_laws(render_of(objects)) == []


def test_a_secret_with_its_values_is_refused():
    """Whoever can read the repository would have it."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"token": "kan4ri"}}
    (found,) = broken_laws(render_of([in_namespace(secret)]))
    assert found.check == "law/literal-secret" and "kan4ri" not in str(found)


def test_a_secret_in_a_command_is_refused_and_a_variable_is_not():
    """Commands can be read by everybody who may look at pods."""
    objects = [one for one in good_objects() if one["kind"] != "Deployment"]
    objects += [one for one in deployment(namespace="dq") if one["kind"] == "Deployment"]
    words = next(one for one in objects if one["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
    words["args"] = ["--db-password=$(DB_PASSWORD)", "--token-path=/run/token"]
    assert broken_laws(render_of(objects)) == []
    words["args"] = ["--db-password=kan4ri"]
    assert {one.check for one in broken_laws(render_of(objects))} == {"law/literal-secret"}


def test_pods_in_a_kind_that_the_checks_do_not_know_are_said():
    """Else a new kind would bring pods that nobody looks at."""
    unknown = {"apiVersion": "x.example/v1", "kind": "Runner", "metadata": {"name": "r"}}
    unknown["spec"] = {"template": copy.deepcopy(pod("r", image=f"x@{DIGEST}"))}
    found = broken_laws(render_of([in_namespace(unknown)]))
    assert [one.path for one in found if one.check == "law/unseen"] == ["spec.template.spec.containers"]


ODD = [None, "x", -1, True, 1.5, [], {}, [None], {"name": 1}]


def places(value, path=()):
    """Paths of everything inside a value."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(inner, (*path, key))


@pytest.mark.parametrize("number", range(len(good_objects())))
def test_odd_values_are_looked_past(number):
    """Schemas say what is wrong with them; a law that fails itself would hide what the others have found."""
    random_source, manifest = random.Random(number), good_objects()[number]
    for path in random_source.sample(list(places(manifest)), min(60, len(list(places(manifest))))):
        changed_one = copy.deepcopy(manifest)
        place = changed_one
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = random_source.choice(ODD)
        assert isinstance(broken_laws(render_of([changed_one])), list)
