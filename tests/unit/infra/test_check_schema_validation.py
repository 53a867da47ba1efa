"""`infra/check/schema_validation.py`: every object is judged by what knows its kind; where nothing does, it is said."""

import pytest
from small_infra import in_namespace, pod, ray_cluster

pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is in .venv-infra, not here")
pytest.importorskip("cel_expr_python", reason="cel-expr-python is in .venv-infra, not here")

from infra.check.custom_resources import Definition
from infra.check.exceptions import KindWithoutSchema
from infra.check.rendered import Render
from infra.check.schema_validation import Evaluated, validate

RULES = [{"rule": "self.all(one, one.n > 0)", "message": "all above zero"}]
ITEM = {
    "type": "object",
    "properties": {"n": {"type": "integer", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}},
}
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {"items": {"type": "array", "items": ITEM, "x-kubernetes-validations": RULES}},
        }
    },
}
X = Definition(api_version="x.io/v1", kind="X", schema=SCHEMA, is_namespaced=True)
QUEUE = {"apiVersion": "q.io/v1", "kind": "Queue", "metadata": {"name": "q", "namespace": "dq"}}


def judged(*objects, known=()):
    """(paths and problems, what was evaluated)."""
    evaluated = Evaluated()
    render = Render(source="overlay", objects=objects)
    found = validate(render, {("x.io/v1", "X"): X}, known, evaluated)
    return [(one.path, one.problem) for one in found], evaluated


def x(*numbers):
    items = [{"n": number} for number in numbers]
    return {"apiVersion": "x.io/v1", "kind": "X", "metadata": {"name": "x"}, "spec": {"items": items}}


def test_rules_are_counted_where_they_hold_and_where_they_cannot_be_known():
    """Places of a list count, and are one place of the schema."""
    found, evaluated = judged(x(1, 2))
    assert found == [] and evaluated.num_rules == 1
    ((kind, path, rule, reason),) = evaluated.unevaluated
    assert (kind, path, rule, evaluated.unevaluated[kind, path, rule, reason]) == (
        "X",
        "spec.items.n",
        "self == oldSelf",
        2,
    )


def test_a_rule_that_does_not_hold_is_a_finding_with_its_message():
    """At the place where it applies."""
    ((path, problem),), _ = judged(x(1, 0))
    assert path == "spec.items" and "all above zero" in problem and "self.all" in problem


def test_a_kind_that_nothing_knows_must_be_listed():
    """By group and kind; its metadata is judged all the same."""
    ((_, problem),), evaluated = judged(QUEUE)
    assert "no schema for q.io/v1 Queue" in problem and evaluated.kinds_without_schema == {("q.io", "Queue")}
    listed = (KindWithoutSchema(group="q.io", kind="Queue", because="."),)
    assert judged(QUEUE, known=listed)[0] == []
    assert judged(QUEUE, known=(KindWithoutSchema(group="other.io", kind="Queue", because="."),))[0]
    ((path, _),), _ = judged({**QUEUE, "metadata": {"name": "q", "lable": "x"}}, known=listed)
    assert path == "metadata"


def test_pods_of_ray_are_judged_as_pods_too():
    """A definition holds the pods of the Kubernetes that KubeRay was built with, and leaves some of them open."""
    open_schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    ray = Definition(api_version="ray.io/v1", kind="RayCluster", schema=open_schema, is_namespaced=True)
    cluster = in_namespace(ray_cluster())
    render = Render(source="overlay", objects=[cluster])
    assert list(validate(render, {("ray.io/v1", "RayCluster"): ray}, (), Evaluated())) == []
    cluster["spec"]["headGroupSpec"]["template"]["spec"]["restartPolice"] = "Never"
    (found,) = validate(render, {("ray.io/v1", "RayCluster"): ray}, (), Evaluated())
    assert found.path == "spec.headGroupSpec.template.spec" and "restartPolice" in found.problem


def test_objects_are_counted_by_what_judged_them():
    """So that a last line without custom resources is seen."""
    one_pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod("p")["spec"]}
    assert judged(one_pod, x(1), QUEUE)[1].num_by_schema == {"builtin": 1, "custom": 1, "none": 1}
