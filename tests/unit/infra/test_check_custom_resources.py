"""`infra/check/custom_resources.py`: definitions are read as people can get them, or it is said how to get them."""

import pytest
import yaml

from infra.check.custom_resources import definition_of, definitions_of, read_definitions
from infra.check.finding import CannotRunError


def crd(kind, **changes):
    version = {"name": "v1", "served": True, "schema": {"openAPIV3Schema": {"type": "object"}}} | changes
    spec = {"group": "ray.io", "scope": "Namespaced", "names": {"kind": kind}, "versions": [version]}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}


ALL = [crd("RayCluster"), crd("RayJob"), crd("RayCronJob")]


@pytest.mark.parametrize("documents", [ALL, [{"kind": "List", "items": ALL}]])
def test_files_and_kubectls_lists_are_read(tmp_path, documents):
    """`kubectl get crd a b -o yaml` prints a list."""
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(documents))
    (tmp_path / "LICENSE").write_text("not: [yaml")
    found = read_definitions(tmp_path)
    assert sorted(found) == [("ray.io/v1", "RayCluster"), ("ray.io/v1", "RayCronJob"), ("ray.io/v1", "RayJob")]
    assert definition_of({"apiVersion": "ray.io/v1", "kind": "RayJob"}, found).is_namespaced
    assert definition_of({"apiVersion": "ray.io/v2", "kind": "RayJob"}, found) is None


def test_a_version_that_is_not_served_is_none():
    """The server would not take it."""
    assert list(definitions_of([crd("RayJob", served=False)])) == []


@pytest.mark.parametrize("content", [None, "", "kind: [", yaml.safe_dump(crd("RayJob"))])
def test_without_definitions_it_is_said_how_to_get_them(tmp_path, content):
    """No folder, an empty file, a broken one, and one that lacks a kind that Ray needs."""
    folder = tmp_path / "crds"
    if content is not None:
        folder.mkdir()
        (folder / "x.yaml").write_text(content)
    with pytest.raises(CannotRunError, match=r"kubectl get crd .*raycronjobs.ray.io.* DQ_CRDS=FOLDER"):
        read_definitions(folder)
