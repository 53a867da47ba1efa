"""Kustomizations: which there are, what they read, and what none of them reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.check.documents import DocumentError, yaml_document
from infra.check.finding import Finding
from infra.check.rendered import mapping, sequence, walk

FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# Files beside manifests that are for people.
_FOR_PEOPLE = {".md"}


@dataclass(frozen=True, kw_only=True)
class Kustomization:
    """A folder that kustomize reads.

    Args:
        folder: that it is.
        file: in it.
        content: of the file.
        files: that it names, which exist.
        folders: that it names, which exist.
        remote: addresses that it names.
    """

    folder: Path
    file: Path
    content: dict[str, Any]
    files: frozenset[Path] = field(default_factory=frozenset)
    folders: frozenset[Path] = field(default_factory=frozenset)
    remote: tuple[str, ...] = ()

    @property
    def is_component(self) -> bool:
        """Whether others include it, and nobody renders it alone."""
        return self.content.get("kind") == "Component"

    @property
    def component_folders(self) -> list[Path]:
        """Folders that it names as components."""
        return [(self.folder / str(one)).resolve() for one in sequence(self.content.get("components"))]

    @property
    def image_names(self) -> frozenset[str]:
        """Names that images have after its `images:`."""
        images = [mapping(one) for one in sequence(self.content.get("images"))]
        return frozenset(str(one.get("newName") or one.get("name")) for one in images)


def read_kustomizations(infra: Path, root: Path) -> tuple[dict[Path, Kustomization], list[Finding]]:
    """All kustomizations below a folder, by folder; and those that cannot be read."""
    found, findings = {}, []
    for file in sorted(path for name in FILE_NAMES for path in infra.rglob(name)):
        try:
            content = yaml_document(file)
            if not isinstance(content, dict):
                raise DocumentError("it is no mapping")
        except DocumentError as error:
            problem = f"not a kustomization: {error}"
            findings.append(_finding(file.relative_to(root), problem, "write valid YAML"))
            continue
        found[file.parent.resolve()] = _kustomization(file, content)
    return found, findings


def overlays(kustomizations: dict[Path, Kustomization], infra: Path) -> list[Kustomization]:
    """Those to render: of kind Kustomization, below a folder `overlays`; outer ones before inner ones."""
    return [
        one
        for folder, one in sorted(kustomizations.items())
        if "overlays" in folder.relative_to(infra.resolve()).parts[:-1] and not one.is_component
    ]


def with_components(one: Kustomization, kustomizations: dict[Path, Kustomization]) -> Iterator[Kustomization]:
    """A kustomization and the components that it includes, theirs too."""
    pending, seen = [one.folder], set()
    while pending:
        folder = pending.pop()
        if folder not in seen and folder in kustomizations:
            seen.add(folder)
            yield kustomizations[folder]
            pending += kustomizations[folder].component_folders


def unread(
    kustomizations: dict[Path, Kustomization], rendered: Sequence[Kustomization], root: Path
) -> Iterator[Finding]:
    """Kustomizations that no rendered one includes, and files beside kustomizations that none of them names."""
    pending, reached = [one.folder for one in rendered], set()
    while pending:
        folder = pending.pop()
        if folder not in reached and folder in kustomizations:
            reached.add(folder)
            pending += kustomizations[folder].folders
    for folder in sorted(set(kustomizations) - reached):
        problem = "no overlay includes this kustomization, so nothing renders it"
        change = f"name it in an overlay ({_folder_name(folder, root)} may need one of its own), or remove it"
        yield _finding(kustomizations[folder].file.relative_to(root), problem, change)
    named = {file for one in kustomizations.values() for file in one.files}
    for folder in sorted(kustomizations):
        for file in sorted(path for path in _files_of(folder, kustomizations) if path not in named):
            yield _finding(
                file.relative_to(root.resolve()),
                "no kustomization names this file, so nothing renders it",
                f"name it in {kustomizations[folder].file.name} beside it, or remove it",
            )


def remote_resources(kustomizations: dict[Path, Kustomization], root: Path) -> Iterator[Finding]:
    """What would be fetched while rendering: another answer tomorrow, and none without a network."""
    for one in kustomizations.values():
        for address in one.remote:
            problem = f"'{address}' is fetched when this is rendered"
            yield _finding(one.file.relative_to(root), problem, "keep a copy in the repository and name that")


def _kustomization(file: Path, content: dict[str, Any]) -> Kustomization:
    folder = file.parent.resolve()
    texts = {value for _, value in walk(content) if isinstance(value, str) and value and "\n" not in value}
    # `configMapGenerator` names files as `key=path`.
    candidates = [(folder / text.rpartition("=")[2]).resolve() for text in texts if len(text) < 500]
    resources = [str(one) for key in ("resources", "components", "bases") for one in sequence(content.get(key))]
    remote = tuple(one for one in resources if "://" in one or one.startswith(("github.com", "git@", "git::")))
    return Kustomization(
        folder=folder,
        file=file,
        content=content,
        files=frozenset(path for path in candidates if path.is_file()),
        folders=frozenset(path for path in candidates if path.is_dir() and path != folder),
        remote=remote,
    )


def _files_of(folder: Path, kustomizations: dict[Path, Kustomization]) -> Iterator[Path]:
    """Files of a kustomization's folder and of its folders that are no kustomizations themselves."""
    for path in folder.iterdir():
        if path.is_dir():
            if path not in kustomizations and not any(path in other.parents for other in kustomizations):
                yield from (inner for inner in path.rglob("*") if inner.is_file() and inner.suffix not in _FOR_PEOPLE)
        elif path.name not in FILE_NAMES and path.suffix not in _FOR_PEOPLE:
            yield path


def _folder_name(folder: Path, root: Path) -> str:
    return str(folder.relative_to(root.resolve()))


def _finding(path: Path, problem: str, change: str) -> Finding:
    return Finding(check="discovery", source=str(path), problem=problem, change=change)
