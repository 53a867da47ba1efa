"""Renders kustomizations with `kubectl kustomize` or `kustomize build`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.check.documents import DocumentError, yaml_documents
from infra.check.finding import CannotRunError, Finding
from infra.check.rendered import Manifest, mapping, sequence

RENDER_SECONDS = 120
OLDEST_KUSTOMIZE = (4, 0)  # components came with 3.7; kubectl 1.21 was the first to bring more than 2.0
GET_ONE = (
    "install kubectl 1.21 or newer (https://kubernetes.io/docs/tasks/tools/; a cloud's command line tools bring it), "
    "or put kustomize 4 or newer on the PATH (https://kubectl.docs.kubernetes.io/installation/kustomize/)"
)


@dataclass(frozen=True, kw_only=True)
class Renderer:
    """What renders here.

    Args:
        words: of the command, without the folder.
        versions: of the tool, by name.
    """

    words: tuple[str, ...]
    versions: dict[str, str]


def find_renderer(path: str | None = None) -> Renderer:
    """The first that is new enough.

    Args:
        path: where to look, as in PATH; None: there.

    Raises:
        CannotRunError: there is none.
    """
    seen = []
    for candidate in (_kubectl(path), _kustomize(path)):
        if candidate is None:
            continue
        if _version(candidate.versions["kustomize"]) >= OLDEST_KUSTOMIZE:
            return candidate
        seen.append(f"{candidate.words[0]} with kustomize {candidate.versions['kustomize'] or 'of an unknown version'}")
    raise CannotRunError(" and ".join(seen) or "neither kubectl nor kustomize is on the PATH", "one of them", GET_ONE)


def render(renderer: Renderer, folder: Path, source: str) -> tuple[list[Manifest], list[Finding]]:
    """The objects of a kustomization; what it complains about, too."""
    command = [*renderer.words, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RENDER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return [], [_finding(source, f"not rendered within {RENDER_SECONDS} s", "look for a remote resource in it")]
    said = " ".join(done.stderr.split())
    if done.returncode:
        return [], [_finding(source, f"not rendered: {said}", "mend the kustomization that the message names")]
    findings = [_finding(source, f"rendered with a warning: {said}", "do as it says")] if said else []
    try:
        documents = yaml_documents(done.stdout)
    except DocumentError as error:
        return [], [*findings, _finding(source, f"rendered to no YAML: {error}", "mend the manifest")]
    objects = list(_objects(documents))
    if not objects:
        findings.append(_finding(source, "rendered to nothing", "name resources in it, or remove it"))
    return objects, findings


def _objects(documents: Sequence[Any]) -> Iterator[Manifest]:
    for document in documents:
        if mapping(document).get("kind") == "List":
            yield from _objects(sequence(document.get("items")))
        elif isinstance(document, dict):
            yield document


def _kubectl(path: str | None) -> Renderer | None:
    if (tool := shutil.which("kubectl", path=path)) is None:
        return None
    try:
        versions = json.loads(_said([tool, "version", "--client", "-o", "json"]))
    except ValueError:
        versions = {}
    kubectl = str(mapping(versions.get("clientVersion")).get("gitVersion", ""))
    kustomize = str(versions.get("kustomizeVersion", ""))  # older ones do not say it, and are too old
    return Renderer(words=(tool, "kustomize"), versions={"kubectl": kubectl, "kustomize": kustomize})


def _kustomize(path: str | None) -> Renderer | None:
    if (tool := shutil.which("kustomize", path=path)) is None:
        return None
    found = re.search(r"v?\d+\.\d+\.\d+", _said([tool, "version"]))
    return Renderer(words=(tool, "build"), versions={"kustomize": found.group() if found else ""})


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RENDER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in re.findall(r"\d+", text)[:2])


def _finding(source: str, problem: str, change: str) -> Finding:
    return Finding(check="render", source=source, problem=problem, change=change)
