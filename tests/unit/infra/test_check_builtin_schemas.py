"""`infra/check/builtin_schemas.py`: objects of Kubernetes' own kinds, field by field, in two versions."""

import pytest
from small_infra import cron_job, deployment, good_objects, in_namespace, pod

pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is in .venv-infra, not here")

from infra.check.builtin_schemas import builtin_mistakes, is_builtin, metadata_mistakes, nulls


def test_good_objects_have_no_mistakes():
    """All kinds of the small render that are Kubernetes' own."""
    objects = [one for one in good_objects() if is_builtin(one)]
    assert len(objects) == len(good_objects()) - 2  # but Ray's
    assert [(one, *builtin_mistakes(one)) for one in objects] == [(one,) for one in objects]


def test_an_unknown_field_a_wrong_type_and_a_missing_field_are_found_where_they_are():
    """The server drops the first, silently or with a warning, and refuses the others."""
    job = in_namespace(cron_job())
    spec = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    spec["containers"][0]["imagePolicy"] = "Always"
    spec["containers"][0]["env"] = [{"name": "X", "value": 1}]
    del job["spec"]["schedule"]
    found = dict(builtin_mistakes(job))
    start = "spec.jobTemplate.spec.template.spec.containers[0]"
    assert set(found) == {start, f"{start}.env[0].value", "spec"} and "imagePolicy" in found[start]


def test_a_version_that_is_gone_is_said():
    """CronJobs were beta once."""
    old = in_namespace(cron_job()) | {"apiVersion": "batch/v1beta1"}
    assert not is_builtin(old)


def test_a_kind_of_the_same_name_in_another_group_is_not_kubernetes_own():
    """The package looks at the first part of a group alone."""
    assert is_builtin(deployment()[0]) and not is_builtin(deployment()[0] | {"apiVersion": "apps.example.org/v1"})


def test_metadata_of_any_kind_is_judged():
    """Definitions of custom resources leave it open."""
    good = {"metadata": {"name": "x", "labels": {"a": "b"}}}
    assert list(metadata_mistakes(good)) == []
    found = [path for path, _ in metadata_mistakes({"metadata": {"name": "x", "lables": {}, "labels": {"a": 1}}})]
    assert found == ["metadata", "metadata.labels.a"]


def test_a_key_without_a_value_is_said():
    """The schemas of built-in kinds take null everywhere."""
    template = {"apiVersion": "v1", "kind": "Pod", **pod("x")}
    template["metadata"]["creationTimestamp"] = None
    assert list(nulls(template)) == []
    template["spec"]["nodeSelector"] = None
    assert [path for path, _ in builtin_mistakes(template)] == ["spec.nodeSelector"]
