"""`infra/check/hardening.py`: checkov sees pods inside custom resources, and its findings name what people wrote."""

import json
from pathlib import Path

from small_infra import DOCKERFILE, good_objects

from infra.check.hardening import findings_of, write_for_checkov
from infra.check.rendered import Render


def written(tmp_path, objects):
    """(files by name, their origins)."""
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    folder = tmp_path / "out"
    folder.mkdir()
    render = Render(source="overlay", objects=objects)
    origins = write_for_checkov([render], [Path("Dockerfile")], tmp_path, folder)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(origins)
    return {name: (folder / name).read_text() for name in origins}, origins


def result(path, key, check="CKV_K8S_1"):
    return {
        "check_id": check,
        "check_name": "a rule",
        "file_path": f"/{path}",
        "resource": "Pod.dq.x",
        "check_result": {"evaluated_keys": [key] if key else []},
    }


def test_every_pod_of_ray_is_written_as_a_pod(tmp_path):
    """With the labels that it will have, and the autoscaler; other objects as they are."""
    objects = good_objects()
    cluster = next(one for one in objects if one["kind"] == "RayCluster")
    cluster["spec"]["enableInTreeAutoscaling"] = True
    files, _ = written(tmp_path, objects)
    documents = {name: json.loads(text) for name, text in files.items() if name.endswith(".json")}
    pods = {one["metadata"]["name"]: one for one in documents.values() if one["kind"] == "Pod"}
    assert set(pods) == {
        *("raycluster-dq-head", "raycluster-dq-worker-small"),
        *("rayjob-sweep-head", "rayjob-sweep-worker-small", "rayjob-sweep-submitter"),
    }
    head = pods["raycluster-dq-head"]
    assert head["metadata"]["namespace"] == "dq" and head["metadata"]["labels"]["ray.io/node-type"] == "head"
    assert [one["name"] for one in head["spec"]["containers"]] == ["ray-head", "autoscaler"]
    assert len(documents) == len(objects) - 2 + 5 and not {"RayCluster", "RayJob"} & {
        one["kind"] for one in documents.values()
    }


def test_a_finding_names_the_place_in_the_object_that_people_wrote(tmp_path):
    """Not the file and the pod that were made of it."""
    objects = [one for one in good_objects() if one["kind"] in ("RayCluster", "CronJob")]
    objects[0]["spec"]["enableInTreeAutoscaling"] = True
    _, origins = written(tmp_path, objects)
    reports = [
        {
            "results": {
                "passed_checks": [result("render0/000-pod0.json", ""), result("render0/000-pod1.json", "")],
                "failed_checks": [
                    result("render0/000-pod0.json", "spec/containers/[1]/image"),
                    result("render0/000-pod1.json", "spec/securityContext"),
                    result("render0/001.json", "spec/jobTemplate/spec/template/spec/containers/[0]/image"),
                    result("render0/001.json", ""),
                    {**result("docker0/Dockerfile", ""), "resource": "/docker0/Dockerfile.USER"},
                ],
            }
        }
    ]
    found = {(one.source, one.object, one.path) for one in findings_of(reports, origins)}
    assert found == {
        ("overlay", "RayCluster/dq", "spec.autoscalerOptions.image"),
        ("overlay", "RayCluster/dq", "spec.workerGroupSpecs[0].template.spec.securityContext"),
        ("overlay", "CronJob/retrain", "spec.jobTemplate.spec.template.spec.containers[0].image"),
        ("overlay", "CronJob/retrain", ""),
        ("Dockerfile", "Dockerfile", "USER"),
    }


def test_what_is_skipped_in_place_or_not_read_is_a_finding(tmp_path):
    """An annotation would silence a rule without a sentence here."""
    _, origins = written(tmp_path, good_objects()[:1])
    name = next(name for name in origins if name.startswith("render0"))
    results = {"skipped_checks": [result(name, "", "CKV_K8S_7")], "parsing_errors": [f"/{name}"]}
    skipped, unread = findings_of([{"results": results}], origins)
    assert skipped.check == "CKV_K8S_7" and "skipped" in skipped.problem
    assert unread.check == "checkov" and unread.object == "Namespace/dq"


def test_pods_that_checkov_did_not_look_at_are_said(tmp_path):
    """It passes over what it does not know without a word."""
    objects = [one for one in good_objects() if one["kind"] in ("CronJob", "NetworkPolicy")]
    _, origins = written(tmp_path, objects)
    (found,) = findings_of([{"results": {}}], origins)
    assert found.check == "checkov" and found.object == "CronJob/retrain"
    name = next(name for name, one in origins.items() if one.object == "CronJob/retrain")
    assert findings_of([{"results": {"passed_checks": [result(name, "")]}}], origins) == []


def test_nothing_to_look_at_is_no_finding():
    """Then checkov gives a mapping of zeros."""
    assert findings_of([{"passed": 0, "failed": 0}], {}) == []
