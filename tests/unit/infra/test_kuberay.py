"""Manifests of the cluster: what they start exists and is accepted, and what has to agree in several of them does."""

import json
import shlex
from pathlib import Path

import pytest
import yaml
from repository import ROOT
from small_task import called

from pipeline import __version__
from pipeline.config.job import job_of
from pipeline.config.load import load_config
from pipeline.retraining.decisions import ENDINGS, RETRIABLE
from pipeline.stages.command import with_keys
from pipeline.stages.sweep import job as sweep_job

KUBERAY = ROOT / "infra" / "kuberay"
IN_IMAGE = "/opt/dq-pipeline/"
SWEEP = f"{IN_IMAGE}jobs/dq_sweep.py"
FILES = sorted(KUBERAY.rglob("*.yaml"))
DOCUMENTS = [(path, one) for path in FILES for one in yaml.safe_load_all(path.read_text())]
OBJECTS = [one for _, one in DOCUMENTS if isinstance(one, dict) and one.get("kind") != "Kustomization"]


def nodes(value):
    """Everything in a document, patches that stand in it as text among it."""
    yield value
    if isinstance(value, str) and "\n" in value:
        yield from nodes(yaml.safe_load(value))
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(one)


def patched_entrypoints(document):
    """What patches put into an entrypoint."""
    for node in nodes(document):
        if isinstance(node, dict) and str(node.get("path", "")).endswith("/entrypoint"):
            yield node["value"]


def commands():
    """Every call of a job: of entrypoints, and of what submits one."""
    for path, document in DOCUMENTS:
        for text in patched_entrypoints(document):
            yield path, shlex.split(text)
        for node in nodes(document):
            if isinstance(node, dict) and isinstance(node.get("entrypoint"), str):
                yield path, shlex.split(node["entrypoint"])
            for key in ("args", "value"):
                words = node.get(key) if isinstance(node, dict) else None
                if isinstance(words, list) and "python" in words[:1]:
                    yield path, words


COMMANDS = [pytest.param(words, id=f"{path.relative_to(KUBERAY)}") for path, words in commands()]


def settings_of(words):
    """Job and settings of a command."""
    program = words[1].removeprefix(IN_IMAGE)
    assert words[0] == "python" and program.startswith("jobs/") and (ROOT / program).is_file()
    return Path(program).stem, words[2:]


@pytest.mark.parametrize("words", COMMANDS)
def test_a_manifest_s_job_is_accepted(words):
    """Its file exists, every setting is one, and results go to the storage that all nodes share."""
    name, settings = settings_of(words)
    job = job_of(name)
    config = load_config(job, with_keys(job, settings))
    assert config.storage.path == "/storage" and config.cluster.launcher == "ray"
    assert config.cluster.wait_seconds >= 600  # an autoscaled cluster starts empty


@pytest.fixture
def data(tmp_path):
    """A small data set where a manifest says that data lie."""
    for split, count in (("train", 120), ("validation", 20), ("test", 20)):
        lines = [json.dumps({"source": f"word {n} of a text", "target": f"word {n}"}) for n in range(count)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
    return tmp_path


@pytest.mark.parametrize(
    "words", [param for param in COMMANDS if {"data.root=/storage/data", SWEEP} <= {*param.values[0]}]
)
def test_a_manifest_s_sweep_can_be_planned(words, data):
    """`--dry-run` of its own words; the places of the cluster are this test's, and its workers are in this process."""
    _, settings = settings_of(words)
    here = {"data.root=/storage/data": f"data.root={data}", "storage.path=/storage": f"storage.path={data / 'runs'}"}
    kept = [here.get(word, word) for word in settings if not word.startswith("cluster")]
    code, out, err = called("dq_sweep", sweep_job.dry_run, *kept, "cluster=process")
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["status"] == "planned"


def pod_specs(document):
    """Specs of pods."""
    return [node for node in nodes(document) if isinstance(node, dict) and isinstance(node.get("containers"), list)]


def test_every_pod_is_restricted():
    """As the namespace's pod security wants it, and without a token of Kubernetes."""
    found = [(path, spec) for path, document in DOCUMENTS for spec in pod_specs(document)]
    assert len(found) >= 5
    for path, spec in found:
        assert spec["automountServiceAccountToken"] is False and spec["serviceAccountName"].startswith("dq-"), path
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 10001, path
        assert spec["terminationGracePeriodSeconds"] >= 60, path
        for container in spec["containers"]:
            allowed = container["securityContext"]
            assert not allowed["allowPrivilegeEscalation"] and allowed["readOnlyRootFilesystem"], path
            assert allowed["capabilities"] == {"drop": ["ALL"]}, path
            limits, requests = container["resources"]["limits"], container["resources"]["requests"]
            assert {"cpu", "memory", "ephemeral-storage"} <= limits.keys() == requests.keys(), path


def test_the_nightly_job_calls_nothing_again_that_would_end_the_same():
    """Of the codes of a night only those are tried again that say so; that the champion was kept is no failure."""
    (job,) = [one["spec"]["jobTemplate"]["spec"] for one in OBJECTS if one["kind"] == "CronJob"]
    rule = job["podFailurePolicy"]["rules"][0]
    (container,) = job["template"]["spec"]["containers"]
    command = container["command"]
    done = int(command[command.index("--done") + 1])
    assert rule["action"] == "FailJob" and rule["onExitCodes"]["containerName"] == container["name"]
    assert {*rule["onExitCodes"]["values"], done, 0} == {2, 3, *(ending.exit_code for ending in ENDINGS.values())}
    assert RETRIABLE.exit_code not in rule["onExitCodes"]["values"]


def test_versions_are_those_of_the_project():
    """Ray's, which its operator reads, and the tag of the image that a laptop builds."""
    (cluster,) = [one for one in OBJECTS if one["kind"] == "RayCluster"]
    assert f"ray[default,train]=={cluster['spec']['rayVersion']}" in (ROOT / "pyproject.toml").read_text()
    texts = {path: path.read_text() for path in FILES}
    assert any(f"newTag: {__version__}-cpu" in text for text in texts.values())
    assert not any(":latest" in text for text in texts.values())
