"""Hardening as checkov sees it: rendered objects, pods inside custom resources, and Dockerfiles.

checkov knows neither Ray's kinds nor kustomize, so it gets what was rendered, a file for each object, and each pod that
a custom resource describes as a Pod. All renders are looked at in one run: its one check that compares objects
(CKV2_K8S_6, a pod without a NetworkPolicy) may take another render's policy; `law/default-deny` looks at each alone.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.check.finding import CannotRunError, Finding
from infra.check.pod_templates import RAY_GROUP, PodTemplate, pod_templates
from infra.check.rendered import Manifest, Render, group_of, joined, label_of, mapping, name_of, namespace_of, sequence
from infra.check.tools import needed_tool, run_tool

# Nothing is fetched or sent: tried in a namespace without a network.
OFFLINE = ("--skip-download", "--skip-results-upload", "--download-external-modules", "false")
_CHANGE = "correct it, or explain it in infra/check/exceptions.yaml"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a file for checkov comes from.

    Args:
        source: of the render, or the Dockerfile.
        object: `Kind/name`, or the name of the Dockerfile.
        template: for a pod inside a custom resource.
        has_pods: so that checkov must have something to say.
    """

    source: str
    object: str
    template: PodTemplate | None = None
    has_pods: bool = False


def write_for_checkov(renders: Sequence[Render], dockerfiles: Sequence[Path], root: Path, folder: Path) -> Any:
    """Write what checkov looks at; the origin of each file by its name.

    Args:
        renders: whose objects.
        dockerfiles: relative to the checkout.
        root: the checkout.
        folder: to write into.
    """
    origins: dict[str, Origin] = {}
    for number, render in enumerate(renders):
        place = folder / f"render{number}"
        place.mkdir()
        for index, manifest in enumerate(render.objects):
            for extra, body, template in _files_of(manifest):
                path = place / f"{index:03d}{extra}.json"
                path.write_text(json.dumps(body, indent=1, default=str), encoding="utf-8")
                origins[str(path.relative_to(folder))] = Origin(
                    source=render.source,
                    object=label_of(manifest),
                    template=template,
                    has_pods=bool(pod_templates(manifest)),
                )
    for number, dockerfile in enumerate(dockerfiles):
        copy = folder / f"docker{number}" / "Dockerfile"
        copy.parent.mkdir()
        shutil.copyfile(root / dockerfile, copy)
        origins[str(copy.relative_to(folder))] = Origin(source=str(dockerfile), object=dockerfile.name)
    return origins


def hardening(
    renders: Sequence[Render], dockerfiles: Sequence[Path], root: Path, folder: Path
) -> tuple[list[Finding], int]:
    """What checkov finds, and how many rules it applied, each to one object.

    Raises:
        CannotRunError: it is not there, or does not answer in JSON.
    """
    origins: dict[str, Origin] = write_for_checkov(renders, dockerfiles, root, folder)
    if not origins:
        return [], 0
    words = [str(needed_tool("checkov")), "--directory", str(folder), "--framework", "kubernetes", "dockerfile"]
    done = run_tool([*words, *OFFLINE, "--compact", "--output", "json"], folder)
    try:
        reports = json.loads(done.stdout)
    except ValueError:
        said = " ".join(done.stderr.split())[-500:] or done.stdout[-500:]
        raise CannotRunError(f"checkov gave no JSON: {said}", "a report", "run it by hand in .venv-infra") from None
    reports = reports if isinstance(reports, list) else [reports]
    return findings_of(reports, origins), sum(1 for _ in _results(reports))


def findings_of(reports: Sequence[Any], origins: dict[str, Origin]) -> list[Finding]:
    """Findings in checkov's reports, each once.

    Args:
        reports: one for each framework; without anything to look at, a mapping of zeros.
        origins: of the files, by their names relative to the folder that was looked at.
    """
    found: set[Finding] = set()
    for report in reports:
        results = mapping(mapping(report).get("results"))
        for one in sequence(results.get("failed_checks")):
            found.add(_finding(one, origins, str(one.get("check_name"))))
        for one in sequence(results.get("skipped_checks")):
            finding = _finding(one, origins, "skipped by a comment or an annotation, without a sentence here")
            found.add(finding)
        for path in sequence(results.get("parsing_errors")):
            origin = _origin(str(path), origins)
            problem = "checkov could not read it, so nothing of it was looked at"
            found.add(
                Finding(check="checkov", source=origin.source, object=origin.object, problem=problem, change=_CHANGE)
            )
    seen = {str(one.get("file_path")).lstrip("/") for one in _results(reports)}
    for name, origin in origins.items():
        if origin.has_pods and name not in seen:
            problem = "checkov looked at none of its pods"
            change = "run checkov by hand on the rendered object; it may be a kind that it does not know"
            found.add(
                Finding(check="checkov", source=origin.source, object=origin.object, problem=problem, change=change)
            )
    return sorted(found)


def _results(reports: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for report in reports:
        for kind in ("passed_checks", "failed_checks"):
            yield from map(mapping, sequence(mapping(mapping(report).get("results")).get(kind)))


def _finding(one: dict[str, Any], origins: dict[str, Origin], problem: str) -> Finding:
    origin = _origin(str(one.get("file_path")), origins)
    keys = sequence(mapping(one.get("check_result")).get("evaluated_keys"))
    path = _path(str(keys[0]), origin) if keys else ""
    if origin.object == Path(origin.source).name:  # a Dockerfile: the resource ends in the instruction
        path = str(one.get("resource", "")).rpartition(".")[2].strip("/")
    elif not path and origin.template is not None:
        path = origin.template.path
    return Finding(
        check=str(one.get("check_id")),
        source=origin.source,
        object=origin.object,
        path=path,
        problem=problem,
        change=_CHANGE,
    )


def _origin(file_path: str, origins: dict[str, Origin]) -> Origin:
    name = file_path.lstrip("/")
    return origins.get(name) or Origin(source=name, object="")


def _path(key: str, origin: Origin) -> str:
    """checkov's `spec/containers/[0]/image` as a path in the object that people wrote."""
    path = re.sub(r"[/.]\[", "[", key.strip("/")).replace("/", ".")
    if origin.template is None:
        return path
    for number, container in enumerate(_main_containers(origin.template)):
        if path.startswith(f"spec.containers[{number}]"):
            return path.replace(f"spec.containers[{number}]", container, 1)
    return joined(origin.template.path, path)


def _files_of(manifest: Manifest) -> Iterator[tuple[str, Manifest, PodTemplate | None]]:
    """(addition to the file's name, its content, its template)."""
    if group_of(manifest) != RAY_GROUP:
        yield "", manifest, None
        return
    for number, template in enumerate(pod_templates(manifest)):
        yield f"-pod{number}", _pod(manifest, template), template


def _pod(owner: Manifest, template: PodTemplate) -> Manifest:
    metadata = {key: one for key, one in mapping(template.body.get("metadata")).items() if key == "annotations"}
    name = f"{str(owner.get('kind')).lower()}-{name_of(owner)}-{template.role}"
    metadata |= {"name": name, "labels": template.labels}
    if namespace := namespace_of(owner):
        metadata["namespace"] = namespace
    added = [one.body for one in template.containers if one.role == "autoscaler"]
    containers = [*sequence(template.spec.get("containers")), *added]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {**template.spec, "containers": containers},
    }


def _main_containers(template: PodTemplate) -> list[str]:
    """Paths of a pod's containers, in the order in which `_pod` writes them."""
    return [one.path for one in template.containers if one.role in ("main", "autoscaler")]
