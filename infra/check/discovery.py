"""What must be under infra/ and what is there: nothing is missing silently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.check.finding import Finding
from infra.check.kustomizations import Kustomization

# What this project promises; a renamed or lost one must be said, else less is checked and all seems well.
OVERLAYS = tuple(f"infra/kuberay/overlays/{name}{inner}" for name in ("dev", "gpu", "prod") for inner in ("", "/sweep"))
APPLICATIONS = ("infra/kuberay", "infra/mlflow")
FILES = (
    "infra/docker/Dockerfile",
    "infra/compose.yaml",
    "infra/observability/alerts.yaml",
    "infra/observability/dashboard.json",
    "infra/observability/metrics.txt",
)


@dataclass(frozen=True, kw_only=True)
class Files:
    """Files under infra/ beside manifests, relative to the checkout; all that exist.

    Args:
        dockerfiles: `Dockerfile` and `Dockerfile.<name>` anywhere.
        compose: `compose*.yaml` directly under infra/.
        rules: YAML in infra/observability with `alerts` or `rules` in its name.
        dashboards: JSON in infra/observability.
    """

    dockerfiles: tuple[Path, ...]
    compose: tuple[Path, ...]
    rules: tuple[Path, ...]
    dashboards: tuple[Path, ...]


def find_files(root: Path) -> Files:
    """What is there."""
    infra = root / "infra"

    def matching(folder: Path, *patterns: str) -> tuple[Path, ...]:
        return tuple(sorted(path.relative_to(root) for pattern in patterns for path in folder.glob(pattern)))

    return Files(
        dockerfiles=tuple(
            path for path in matching(infra, "**/Dockerfile", "**/Dockerfile.*") if path.suffix != ".dockerignore"
        ),
        compose=matching(infra, "compose*.yaml", "compose*.yml"),
        rules=matching(infra / "observability", "*alerts*.yaml", "*rules*.yaml"),
        dashboards=matching(infra / "observability", "*.json"),
    )


def missing(root: Path, rendered: Sequence[Kustomization]) -> Iterator[Finding]:
    """What is promised and not there."""
    folders = {str(one.folder.relative_to(root.resolve())) for one in rendered}
    for name in OVERLAYS:
        if name not in folders:
            yield _missing(f"{name}/kustomization.yaml", "an overlay that is promised")
    for name in APPLICATIONS:
        if not any(folder.startswith(f"{name}/overlays/") for folder in folders):
            yield _missing(f"{name}/overlays", "its overlays")
    for name in FILES:
        if not (root / name).is_file():
            yield _missing(name, "a file that is promised")


def _missing(name: str, what: str) -> Finding:
    return Finding(
        check="discovery",
        source=name,
        problem=f"{what}: not there, so nothing of it is checked",
        change="add it, or take it out of infra/check/discovery.py if it is no longer promised",
    )
