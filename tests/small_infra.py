"""A small infra/ that breaks no rule: what the tests of infra/check change in one place, and write into a folder."""

import copy
import json
from pathlib import Path

import yaml

DIGEST = "sha256:" + "0123456789abcdef" * 4
NAMESPACE = "dq"

CONTAINER = """
image: registry.example/dq-pipeline:1.2.3
imagePullPolicy: Always
resources: &resources
  requests: {cpu: 500m, memory: 1Gi, ephemeral-storage: 1Gi}
  limits: {cpu: "1", memory: 2Gi, ephemeral-storage: 2Gi}
securityContext: &security
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 10001
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
volumeMounts: [{name: scratch, mountPath: /tmp}]
livenessProbe: {exec: {command: ["true"]}}
readinessProbe: {exec: {command: ["true"]}}
"""

POD = """
serviceAccountName: dq-job
automountServiceAccountToken: false
securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
volumes: [{name: scratch, emptyDir: {sizeLimit: 1Gi}}]
"""

PLAIN = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}, labels: {{pod-security.kubernetes.io/enforce: restricted}}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: dq-job}}
automountServiceAccountToken: false
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: default-deny}}
spec:
  podSelector: {{}}
  policyTypes: [Ingress, Egress]
  egress: [{{ports: [{{port: 53, protocol: UDP}}, {{port: 53, protocol: TCP}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: head}}
spec:
  podSelector: {{matchLabels: {{ray.io/node-type: head, app.kubernetes.io/name: kuberay}}}}
  policyTypes: [Ingress]
  ingress:
    - from: [{{podSelector: {{matchLabels: {{ray.io/is-ray-node: "yes"}}}}}}]
      ports: [{{port: 6379, protocol: TCP}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: head}}
spec: {{maxUnavailable: 0, selector: {{matchLabels: {{ray.io/cluster: dq, ray.io/node-type: head}}}}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: shared}}
spec: {{accessModes: [ReadWriteMany], storageClassName: shared-files, resources: {{requests: {{storage: 100Gi}}}}}}
"""


def container(name, **changes):
    """A container that breaks no rule."""
    return {"name": name, **yaml.safe_load(CONTAINER), **changes}


def pod(name, *, labels=None, spec=None, **changes):
    """The template of a pod with one container that breaks no rule; changes are the container's."""
    body = yaml.safe_load(POD) | {"containers": [container(name, **changes)]} | (spec or {})
    return copy.deepcopy({"metadata": {"labels": labels or {}}, "spec": body})


def ray_spec():
    """The specification of a Ray cluster."""
    env = [
        {"name": "LOGIN", "valueFrom": {"secretKeyRef": {"name": "mlflow-login", "key": "password"}}},
        {"name": "DQ_STORAGE", "value": "/shared"},
    ]
    mounts = [{"name": "scratch", "mountPath": "/tmp"}, {"name": "shared", "mountPath": "/shared"}]
    volumes = [
        *yaml.safe_load(POD)["volumes"],
        {"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}},
    ]
    spec = {"terminationGracePeriodSeconds": 60, "volumes": volumes}
    return {
        "rayVersion": "2.60.0",
        "authOptions": {"mode": "token", "secretName": "ray-token"},
        "headGroupSpec": {
            "rayStartParams": {"dashboard-host": "0.0.0.0"},
            "template": pod("ray-head", spec=spec, env=env, volumeMounts=mounts),
        },
        "workerGroupSpecs": [
            {
                "groupName": "small",
                "replicas": 1,
                "minReplicas": 1,
                "maxReplicas": 1,
                "rayStartParams": {},
                "template": pod("ray-worker", spec=spec, volumeMounts=mounts),
            }
        ],
    }


def ray_cluster():
    """A Ray cluster."""
    return {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "dq"}, "spec": ray_spec()}


def ray_job():
    """A job with a cluster of its own."""
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": "sweep"},
        "spec": {
            "entrypoint": "python jobs/dq_sweep.py experiment=quickstart storage.path=/shared",
            "submissionMode": "K8sJobMode",
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 600,
            "activeDeadlineSeconds": 3600,
            "backoffLimit": 1,
            "rayClusterSpec": ray_spec(),
            "submitterPodTemplate": pod("submitter", spec={"restartPolicy": "Never"}),
        },
    }


def cron_job():
    """A job of every night."""
    command = ["python", "jobs/retrain.py", "experiment=nights", "storage.path=/shared"]
    template = pod("retrain", labels={"app": "retrain"}, spec={"restartPolicy": "Never"}, command=command)
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "retrain"},
        "spec": {
            "schedule": "0 2 * * *",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"spec": {"activeDeadlineSeconds": 7200, "backoffLimit": 0, "template": template}},
        },
    }


def deployment(name="web", namespace=None):
    """A deployment, its service and its account."""
    labels = {"app": name}
    template = pod(name, labels=labels, ports=[{"name": "http", "containerPort": 5000}])
    template["spec"]["containers"][0]["image"] = f"registry.example/other@{DIGEST}"
    objects = [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {"replicas": 1, "selector": {"matchLabels": dict(labels)}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": dict(labels), "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
        },
    ]
    return objects if namespace is None else [in_namespace(one, namespace) for one in objects]


def in_namespace(manifest, namespace=NAMESPACE):
    """The object as an overlay renders it."""
    manifest = copy.deepcopy(manifest)
    if manifest["kind"] != "Namespace":
        manifest["metadata"]["namespace"] = namespace
    return manifest


def good_objects():
    """The objects of a render that breaks no rule."""
    objects = [*yaml.safe_load_all(PLAIN), ray_cluster(), ray_job(), cron_job(), *deployment()]
    return [in_namespace(one) for one in objects]


BY_HAND = [
    {"kind": "Secret", "name": "ray-token"},
    {"kind": "Secret", "name": "mlflow-login"},
    {"kind": "StorageClass", "name": "shared-files"},
]
EXCEPTIONS = [
    {"check": "CKV_K8S_35", "object": "Ray*", "because": "MLflow takes its login from variables alone."},
    {
        "check": "CKV_DOCKER_7",
        "object": "Dockerfile",
        "because": "The argument holds a digest, and checkov sees no arguments.",
    },
]
IMAGE_NAMES = frozenset({"registry.example/dq-pipeline"})

DOCKERFILE = f"""ARG BASE=docker.io/library/python:3.11-slim@{DIGEST}
FROM ${{BASE}} AS build
WORKDIR /app
COPY . /app
FROM ${{BASE}}
COPY --from=build /app /app
USER 10001
HEALTHCHECK CMD ["true"]
CMD ["python", "jobs/dq_sweep.py", "--help"]
"""

COMPOSE = f"""services:
  web:
    image: registry.example/other@{DIGEST}
    command: [python, jobs/retrain.py, experiment=nights]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    read_only: true
    mem_limit: 1g
    ports: ["127.0.0.1:5000:5000"]
    environment: {{PASSWORD: "${{PASSWORD:?set it}}"}}
    volumes: ["data:/data"]
volumes:
  data: {{}}
"""

ALERTS = """groups:
  - name: dq
    rules:
      - record: dq:failed:rate
        expr: rate(ray_dq_failed_total[5m])
      - alert: JobFailed
        expr: dq:failed:rate > 0
        for: 5m
        labels: {severity: page}
        annotations: {summary: A job has failed, description: Look at its log.}
"""
METRICS = "ray_dq_failed_total  # jobs\nray_dq_loss\n"


def dashboard():
    """A dashboard that breaks no rule."""
    source = {"type": "prometheus", "uid": "${source}"}
    query = 'avg(ray_dq_loss{job=~"$job"}) + rate(ray_dq_failed_total[$__rate_interval])'
    return {
        "uid": "dq",
        "title": "dq",
        "schemaVersion": 41,
        "templating": {
            "list": [
                {"name": "source", "type": "datasource", "query": "prometheus"},
                {"name": "job", "type": "query", "query": "label_values(ray_dq_loss, job)", "datasource": source},
            ]
        },
        "panels": [
            {"id": 1, "type": "row", "title": "Jobs", "panels": []},
            {
                "id": 2,
                "type": "timeseries",
                "title": "Loss",
                "datasource": source,
                "targets": [{"refId": "A", "expr": query}],
            },
        ],
    }


def write_infra(root: Path) -> Path:
    """Write all of it below a folder, as the layout of infra/ has it; the folder."""
    base = [*yaml.safe_load_all(PLAIN), ray_cluster(), cron_job()]
    images = [{"name": "registry.example/dq-pipeline", "digest": DIGEST}]
    _kustomization(root / "infra/kuberay/base", {"objects.yaml": base})
    _kustomization(root / "infra/kuberay/base-sweep", {"job.yaml": [ray_job()]})
    for name in ("dev", "gpu", "prod"):
        overlay = root / "infra/kuberay/overlays" / name
        _kustomization(overlay, {}, resources=["../../base"], namespace=NAMESPACE, images=images)
        inner = {"resources": ["../../../base-sweep"], "namespace": NAMESPACE, "images": images}
        _kustomization(overlay / "sweep", {}, **inner)
    _kustomization(
        root / "infra/mlflow/base", {"objects.yaml": [*yaml.safe_load_all(PLAIN)][:3] + deployment("mlflow")}
    )
    _kustomization(root / "infra/mlflow/overlays/dev", {}, resources=["../../base"], namespace=NAMESPACE)
    entry = {"documented_in": "infra/kuberay/README.md", "because": "It is made before anything is applied."}
    texts = {
        "infra/docker/Dockerfile": DOCKERFILE,
        "infra/compose.yaml": COMPOSE,
        "infra/observability/alerts.yaml": ALERTS,
        "infra/observability/dashboard.json": json.dumps(dashboard()),
        "infra/observability/metrics.txt": METRICS,
        "infra/kuberay/README.md": "Make ray-token and mlflow-login, and a class shared-files.",
        "infra/check/exceptions.yaml": yaml.safe_dump({"exceptions": EXCEPTIONS}),
        "infra/check/made_by_hand.yaml": yaml.safe_dump({"objects": [one | entry for one in BY_HAND]}),
        "jobs/dq_sweep.py": "",
        "jobs/retrain.py": "",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def _kustomization(folder, files, **content):
    folder.mkdir(parents=True, exist_ok=True)
    for name, objects in files.items():
        (folder / name).write_text(yaml.safe_dump_all(objects))
    content = {"resources": sorted(files), **content}
    header = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(header | content))
