"""`python infra/check`: exit codes, the last line, and all tools together on a small infra/, good and bad."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from repository import ROOT
from small_infra import write_infra

TOOLS = ROOT / ".venv-infra" / "bin" / "python"
CRDS = Path(os.environ.get("DQ_CRDS") or ROOT.parent / "shared" / "schemas" / "kuberay")
needs_tools = pytest.mark.skipif(
    not (ROOT / ".venv-infra" / "installed").is_file() or shutil.which("kubectl") is None or not CRDS.is_dir(),
    reason="needs kubectl, .venv-infra (`make .venv-infra/installed`) and KubeRay's definitions ($DQ_CRDS)",
)


def run(root, *words, python=TOOLS):
    """(exit code, the last line of stdout, stderr)."""
    command = [str(python), str(ROOT / "infra" / "check"), "--root", str(root), *words]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return done.returncode, (done.stdout.strip().splitlines() or [""])[-1], done.stderr


def test_without_its_tools_it_says_how_to_get_them(tmp_path):
    """Exit code 2 and no last line: nothing was checked."""
    (tmp_path / "kubectl").symlink_to(shutil.which("true"))
    bare = tmp_path / "python"  # finds no packages
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    code, last, said = run(tmp_path, python=bare)
    assert (code, last) == (2, "") and "checkov" in said and "make infra-check" in said


@needs_tools
def test_without_definitions_it_says_how_to_get_them(tmp_path):
    """Exit code 2, too."""
    code, last, said = run(tmp_path, "--crds", str(tmp_path / "none"))
    assert (code, last) == (2, "") and "kubectl get crd rayclusters.ray.io rayjobs.ray.io raycronjobs.ray.io" in said


@needs_tools
def test_a_good_one_is_ok_and_says_what_it_saw(tmp_path):
    """All tools run for real; rules that compare with an object before are counted, not passed."""
    root = write_infra(tmp_path.resolve())
    job = root / "infra/kuberay/base-sweep/job.yaml"
    document = yaml.safe_load(job.read_text())
    document["spec"]["managedBy"] = "ray.io/kuberay-operator"
    job.write_text(yaml.safe_dump(document))
    code, last, said = run(root, "--crds", str(CRDS))
    line = json.loads(last)
    assert (code, line["status"], line["unexplained_findings"]) == (0, "ok", 0), said
    assert len(line["rendered"]["kustomizations"]) == 7 and line["objects"] == sum(
        line["rendered"]["kustomizations"].values()
    )
    assert line["rendered"]["validated"] == {"builtin": 26, "custom": 6, "none": 0}
    assert line["rendered"]["hardening_rules"] > 100 and line["rendered"]["cel_rules"] == 3
    assert [(one["kind"], one["rule"], one["places"]) for one in line["not_evaluated"]] == [
        ("RayJob", "self == oldSelf", 3)
    ]
    assert line["commands"][0] == "python jobs/dq_sweep.py --help" and len(line["commands"]) == 4
    assert line["versions"]["checkov"] and line["versions"]["kustomize"]


BROKEN = {
    "infra/kuberay/base-sweep/job.yaml": [
        ("activeDeadlineSeconds: 3600", "activeDeadlineSecond: 3600"),
        ("ttlSecondsAfterFinished: 600", "deletionStrategy: {}"),
    ],
    "infra/kuberay/base/objects.yaml": [("concurrencyPolicy: Forbid", "concurrencyPolicy: Forbid\n  paralel: 1")],
    "infra/mlflow/base/objects.yaml": [("runAsUser: 10001", "runAsUser: 101")],
    "infra/docker/Dockerfile": [("WORKDIR /app", "# hadolint ignore=DL3002\nUSER root\nRUN cd /x && sudo true")],
    "infra/compose.yaml": [("127.0.0.1:5000:5000", "5000:5000")],
    "infra/observability/alerts.yaml": [("[5m]", "")],
    "infra/observability/dashboard.json": [("avg(ray_dq_loss", "avg(ray_dq_los")],
    "infra/check/exceptions.yaml": [("CKV_DOCKER_7", "CKV_DOCKER_99")],
}
EXPECTED = [
    "RayJob/sweep spec: Additional properties are not allowed ('activeDeadlineSecond'",
    "RayJob/sweep spec.deletionStrategy: deletionStrategy requires either BOTH onSuccess and onFailure",
    "[law/deadline]",
    "CronJob/retrain spec: Additional properties are not allowed ('paralel' was unexpected) (Kubernetes 1.35.0)",
    "[CKV_K8S_40]",
    "[DL3004]",
    "[CKV_DOCKER_7]",
    "'5000:5000' is open to the network",
    "expected type matrix in call to function 'rate'",
    "no metric is called ray_dq_los",
    "the exception for CKV_DOCKER_99 at Dockerfile (*) explains nothing",
]


@needs_tools
def test_what_is_wrong_is_said_by_the_tool_that_sees_it(tmp_path):
    """One mistake for each of them: schemas, CEL, laws, checkov, hadolint, compose, rules, dashboard, exceptions."""
    root = write_infra(tmp_path.resolve())
    for name, changes in BROKEN.items():
        text = (root / name).read_text()
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        (root / name).write_text(text)
    code, last, said = run(root, "--crds", str(CRDS))
    line = json.loads(last)
    assert (code, line["status"]) == (1, "failed")
    assert line["unexplained_findings"] == sum(one.endswith("]") for one in said.splitlines())
    assert [one for one in EXPECTED if one not in said] == []
