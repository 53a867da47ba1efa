"""`infra/check/discovery.py`: what is promised is there, or it is said that it is not."""

import shutil

import pytest
from small_infra import write_infra

from infra.check.discovery import FILES, OVERLAYS, find_files, missing
from infra.check.kustomizations import overlays, read_kustomizations


def lacking(root):
    kustomizations, _ = read_kustomizations(root / "infra", root)
    return [one.source for one in missing(root, overlays(kustomizations, root / "infra"))]


def test_an_empty_checkout_lacks_everything(tmp_path):
    """A tool that finds nothing to check must not say that all is well."""
    (tmp_path / "infra").mkdir()
    found = lacking(tmp_path)
    assert len(found) == len(OVERLAYS) + len(FILES) + 2


@pytest.mark.parametrize(
    "name",
    ["infra/kuberay/overlays/gpu/sweep", "infra/mlflow/overlays", "infra/compose.yaml", "infra/docker/Dockerfile"],
)
def test_one_thing_that_is_lost_is_said(tmp_path, name):
    """Of all the others nothing is said."""
    root = write_infra(tmp_path)
    assert lacking(root) == []
    path = root / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    (found,) = lacking(root)
    assert found.startswith(name)


def test_files_beside_manifests_are_found_by_their_names(tmp_path):
    """A second Dockerfile, compose file or dashboard is checked, too; what is left out of images is no Dockerfile."""
    root = write_infra(tmp_path)
    for name in ("docker/Dockerfile.runtime", "docker/Dockerfile.dockerignore", "compose.gpu.yaml"):
        (root / "infra" / name).write_text("x")
    (root / "infra/observability/second.json").write_text("{}")
    found = find_files(root)
    assert [path.name for path in found.dockerfiles] == ["Dockerfile", "Dockerfile.runtime"]
    assert [path.name for path in found.compose] == ["compose.gpu.yaml", "compose.yaml"]
    assert [path.name for path in found.rules] == ["alerts.yaml"]
    assert [path.name for path in found.dashboards] == ["dashboard.json", "second.json"]
