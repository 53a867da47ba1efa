"""`infra/check/pod_templates.py`: all pods that an object describes, with the labels that they will have."""

import pytest
from small_infra import cron_job, deployment, pod, ray_cluster, ray_job

from infra.check.pod_templates import pod_templates, unseen_containers


def spec_of(kind, api_version, spec):
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}


def cron_of_ray():
    return spec_of("RayCronJob", "ray.io/v1", {"schedule": "0 2 * * *", "jobTemplate": ray_job()["spec"]})


@pytest.mark.parametrize(
    ("manifest", "roles"),
    [
        (ray_cluster(), ["head", "worker-small"]),
        (ray_job(), ["head", "worker-small", "submitter"]),
        (cron_of_ray(), ["head", "worker-small", "submitter"]),
        (cron_job(), ["pod"]),
        (deployment()[0], ["pod"]),
        (spec_of("StatefulSet", "apps/v1", {"template": pod("x")}), ["pod"]),
        (spec_of("Job", "batch/v1", {"template": pod("x")}), ["pod"]),
        (spec_of("Pod", "v1", pod("x")["spec"]), ["pod"]),
        (deployment()[1], []),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_every_kind_shows_its_pods(manifest, roles):
    """None of its lists of containers stays unseen."""
    templates = pod_templates(manifest)
    assert [one.role for one in templates] == roles
    assert all(one.containers and one.containers[0].body["name"] for one in templates)
    assert unseen_containers(manifest) == []


def test_a_path_leads_to_the_container():
    """People look there."""
    manifest = ray_job()
    (container,) = pod_templates(manifest)[1].containers
    assert container.path == "spec.rayClusterSpec.workerGroupSpecs[0].template.spec.containers[0]"
    assert (
        container.body is manifest["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]
    )


def test_a_kind_of_the_same_name_in_another_group_is_another_kind():
    """`Job` of a scheduler's group has its pods elsewhere: they are unseen, and that is said."""
    other = spec_of("Job", "batch.example/v1", {"template": pod("x")})
    assert pod_templates(other) == [] and unseen_containers(other) == ["spec.template.spec.containers"]


def test_pods_of_ray_have_the_labels_that_kuberay_gives():
    """A template changes what it may change: not the cluster, the group, and what kind of node it is."""
    cluster = ray_cluster()
    worker = cluster["spec"]["workerGroupSpecs"][0]
    worker["template"]["metadata"]["labels"] = {"app.kubernetes.io/name": "mine", "ray.io/node-type": "head", "x": "y"}
    worker["labels"] = {"x": "z"}
    head, small = pod_templates(cluster)
    assert head.labels == {
        "ray.io/is-ray-node": "yes",
        "ray.io/cluster": "dq",
        "ray.io/node-type": "head",
        "ray.io/group": "headgroup",
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": "kuberay-operator",
    }
    assert small.labels | {"ray.io/group": "small", "x": "z"} == small.labels
    assert small.labels["app.kubernetes.io/name"] == "mine" and small.labels["ray.io/node-type"] == "worker"


def test_the_name_of_a_jobs_cluster_is_not_known():
    """KubeRay makes it when the job starts, whatever the template says."""
    job = ray_job()
    group = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    group["template"]["metadata"]["labels"] = {"ray.io/cluster": "mine"}
    head, worker, submitter = pod_templates(job)
    assert "ray.io/cluster" not in head.labels and "ray.io/cluster" not in worker.labels
    assert head.unknown_labels == worker.unknown_labels == {"ray.io/cluster"} and not submitter.unknown_labels
    assert submitter.labels["ray.io/originated-from-cr-name"] == "sweep"


def test_init_containers_and_the_autoscaler_are_containers():
    """What they may do counts, too; the autoscaler has the head's image unless it has one of its own."""
    cluster = ray_cluster()
    cluster["spec"]["headGroupSpec"]["template"]["spec"]["initContainers"] = [{"name": "first"}]
    cluster["spec"]["enableInTreeAutoscaling"] = True
    head = pod_templates(cluster)[0]
    assert [(one.body["name"], one.role) for one in head.containers] == [
        ("first", "init"),
        ("ray-head", "main"),
        ("autoscaler", "autoscaler"),
    ]
    assert head.containers[2].body["image"] == head.containers[1].body["image"]
    cluster["spec"]["autoscalerOptions"] = {"image": "other"}
    assert pod_templates(cluster)[0].containers[2].body["image"] == "other"
