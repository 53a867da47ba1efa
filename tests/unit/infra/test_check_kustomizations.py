"""`infra/check/kustomizations.py`: what is rendered, and what lies there and is rendered by nobody."""

import pytest
import yaml
from small_infra import write_infra

from infra.check.kustomizations import overlays, read_kustomizations, remote_resources, unread, with_components


@pytest.fixture
def root(tmp_path):
    """A checkout with a small infra/."""
    return write_infra(tmp_path.resolve())


def write(folder, kind="Kustomization", **content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"kind": kind, **content}))


def problems(root):
    kustomizations, findings = read_kustomizations(root / "infra", root)
    rendered = overlays(kustomizations, root / "infra")
    return [(one.source, one.problem) for one in (*findings, *unread(kustomizations, rendered, root))]


def test_every_kustomization_below_overlays_is_rendered(root):
    """Outer ones first; bases and components are not rendered alone."""
    write(root / "infra/kuberay/overlays/prod/part", kind="Component")
    kustomizations, _ = read_kustomizations(root / "infra", root)
    found = [str(one.folder.relative_to(root / "infra")) for one in overlays(kustomizations, root / "infra")]
    names = [f"kuberay/overlays/{name}{inner}" for name in ("dev", "gpu", "prod") for inner in ("", "/sweep")]
    assert found == [*names, "mlflow/overlays/dev"]


def test_a_checkout_in_a_folder_called_overlays_is_nothing_special(root, tmp_path):
    """Only folders under infra/ count."""
    other = write_infra(tmp_path / "overlays" / "checkout")
    assert len(overlays(read_kustomizations(other / "infra", other)[0], other / "infra")) == 7


def test_nothing_is_left_over_in_the_small_one(root):
    """Pages for people are no manifests."""
    (root / "infra/kuberay/base/README.md").write_text("For people.")
    assert problems(root) == []


def test_what_no_overlay_includes_is_said(root):
    """A component that nobody renders rots, and so does a file that no kustomization names."""
    write(root / "infra/kuberay/components/kueue", kind="Component", patches=[{"path": "patch.yaml"}])
    (root / "infra/kuberay/components/kueue/patch.yaml").write_text("a: 1")
    (root / "infra/kuberay/base/forgotten.yaml").write_text("a: 1")
    found = problems(root)
    assert [source for source, _ in found] == [
        "infra/kuberay/components/kueue/kustomization.yaml",
        "infra/kuberay/base/forgotten.yaml",
    ]
    overlay = root / "infra/kuberay/overlays/prod/kustomization.yaml"
    content = yaml.safe_load(overlay.read_text()) | {"components": ["../../components/kueue"]}
    overlay.write_text(yaml.safe_dump(content))
    (root / "infra/kuberay/base/forgotten.yaml").unlink()
    assert problems(root) == []


def test_files_of_generators_and_in_folders_are_named_by_their_paths(root):
    """`key=path` names a file, and so does a path with a folder."""
    base = root / "infra/kuberay/base"
    (base / "scripts").mkdir()
    for name in ("a.sh", "b.sh", "c.sh"):
        (base / "scripts" / name).write_text("x")
    content = yaml.safe_load((base / "kustomization.yaml").read_text())
    content["configMapGenerator"] = [{"name": "s", "files": ["scripts/a.sh", "run=scripts/b.sh"]}]
    (base / "kustomization.yaml").write_text(yaml.safe_dump(content))
    assert [source for source, _ in problems(root)] == ["infra/kuberay/base/scripts/c.sh"]


def test_images_are_those_of_an_overlay_and_its_components(root):
    """Not those of its base: a release is chosen where it is applied."""
    folder = root / "infra/kuberay/overlays/prod"
    write(root / "infra/kuberay/components/x", kind="Component", images=[{"name": "a", "newName": "b"}])
    content = yaml.safe_load((folder / "kustomization.yaml").read_text()) | {"components": ["../../components/x"]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
    kustomizations, _ = read_kustomizations(root / "infra", root)
    parts = with_components(kustomizations[folder], kustomizations)
    assert [sorted(one.image_names) for one in parts] == [["registry.example/dq-pipeline"], ["b"]]


@pytest.mark.parametrize("address", ["https://h/x.yaml", "github.com/o/r//config?ref=v1", "git@h:o/r.git"])
def test_what_would_be_fetched_is_refused(root, address):
    """Before anything is rendered: it would be another one tomorrow."""
    write(root / "infra/kuberay/base", resources=[address])
    kustomizations, _ = read_kustomizations(root / "infra", root)
    (found,) = remote_resources(kustomizations, root)
    assert address in found.problem and found.source == "infra/kuberay/base/kustomization.yaml"


@pytest.mark.parametrize("text", ["a: [", "- a", ""])
def test_a_file_that_is_none_is_said(root, text):
    """And does not end the check."""
    (root / "infra/mlflow/base/kustomization.yaml").write_text(text)
    assert ("infra/mlflow/base/kustomization.yaml") in [source for source, _ in problems(root)]
