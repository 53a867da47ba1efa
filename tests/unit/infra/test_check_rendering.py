"""`infra/check/rendering.py`: kubectl or kustomize, whichever is new enough; what they say is not lost."""

import json
import shutil

import pytest
from small_infra import write_infra

from infra.check.finding import CannotRunError
from infra.check.rendering import Renderer, find_renderer, render

KUBECTL = """#!/bin/sh
if [ "$1" = version ]; then echo '{"clientVersion": {"gitVersion": "v1.30.0"}, "kustomizeVersion": "%s"}'; exit; fi
"""
KUSTOMIZE = """#!/bin/sh
echo '{Version:kustomize/v%s GitCommit:x}'
"""


@pytest.fixture
def path(tmp_path):
    """`path(kubectl="v5.0.1", kustomize="4.5.7")`: a PATH with these, each with such a version of kustomize."""

    def make(**tools):
        for name, version in tools.items():
            (tmp_path / name).write_text({"kubectl": KUBECTL, "kustomize": KUSTOMIZE}[name] % version)
            (tmp_path / name).chmod(0o755)
        return str(tmp_path)

    return make


def test_kubectl_is_taken_before_kustomize(path):
    """People apply with it."""
    found = find_renderer(path(kubectl="v5.0.1", kustomize="5.1.0"))
    assert found.words[0].endswith("/kubectl") and found.words[1:] == ("kustomize",)
    assert found.versions == {"kubectl": "v1.30.0", "kustomize": "v5.0.1"}


@pytest.mark.parametrize("kubectl", ["", "v2.0.3"])
def test_a_kubectl_that_is_too_old_for_components_is_not_taken(path, kubectl):
    """The one of Debian 12 is of 2020 and does not even say its version."""
    found = find_renderer(path(kubectl=kubectl, kustomize="4.5.7"))
    assert found.words[0].endswith("/kustomize") and found.words[1:] == ("build",)


def test_without_any_it_is_said_how_to_get_one(path):
    """Also where there is only an old one."""
    with pytest.raises(CannotRunError, match=r"neither kubectl nor kustomize.*kubernetes.io/docs/tasks/tools"):
        find_renderer(path())
    with pytest.raises(CannotRunError, match=r"kubectl with kustomize v2.0.3.*Allowed: one of them"):
        find_renderer(path(kubectl="v2.0.3"))


def answer(tmp_path, stdout="", stderr="", code=0):
    """What comes of a renderer that says this."""
    (tmp_path / "out").write_text(stdout)
    (tmp_path / "err").write_text(stderr)
    script = tmp_path / "tool"
    script.write_text(f"#!/bin/sh\ncat {tmp_path}/out\ncat {tmp_path}/err >&2\nexit {code}\n")
    script.chmod(0o755)
    return render(Renderer(words=(str(script),), versions={}), tmp_path, "overlay")


def test_objects_come_out_and_lists_are_opened(tmp_path):
    """kustomize keeps lists as they are."""
    one = {"kind": "A"}
    text = json.dumps(one) + "\n---\n" + json.dumps({"kind": "List", "items": [one, {"kind": "B"}]})
    assert answer(tmp_path, text) == ([one, one, {"kind": "B"}], [])


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"code": 1, "stderr": "Error: no such file\n x"}, "not rendered: Error: no such file x"),
        ({"stdout": "kind: A", "stderr": "# Warning: 'commonLabels' is deprecated"}, "commonLabels"),
        ({"stdout": ""}, "rendered to nothing"),
        ({"stdout": "a: 1\na: 2"}, "given twice"),
    ],
)
def test_errors_warnings_and_nothing_are_findings(tmp_path, said, word):
    """An overlay that renders to nothing breaks no law."""
    _, findings = answer(tmp_path, **said)
    (found,) = findings
    assert word in found.problem and found.check == "render" and found.source == "overlay"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_renders_the_small_overlay(tmp_path):
    """With its namespace and its image, for real."""
    root = write_infra(tmp_path.resolve())
    objects, findings = render(find_renderer(), root / "infra/kuberay/overlays/prod", "prod")
    assert findings == [] and [one["kind"] for one in objects].count("RayCluster") == 1
    cluster = next(one for one in objects if one["kind"] == "RayCluster")
    image = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["image"]
    assert cluster["metadata"]["namespace"] == "dq" and image.startswith("registry.example/dq-pipeline@sha256:")
