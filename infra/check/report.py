"""All checks in their order, and what came of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from infra.check.builtin_schemas import KUBERNETES_VERSIONS
from infra.check.compose import compose
from infra.check.custom_resources import Definitions, read_definitions
from infra.check.dashboard import check_dashboard
from infra.check.discovery import Files, find_files, missing
from infra.check.dockerfiles import bases, commands_of, hadolint
from infra.check.entry_points import entry_points, problems_of
from infra.check.exceptions import Allowed, explained, read_allowed, stale
from infra.check.finding import Finding
from infra.check.hardening import hardening
from infra.check.kustomizations import (
    Kustomization,
    overlays,
    read_kustomizations,
    remote_resources,
    unread,
    with_components,
)
from infra.check.laws.catalogue import broken_laws
from infra.check.laws.references import named_elsewhere
from infra.check.pod_templates import pod_templates
from infra.check.prometheus_rules import check_rules, promtool_version
from infra.check.promql import read_metric_names
from infra.check.rendered import Manifest, Render
from infra.check.rendering import Renderer, find_renderer, render
from infra.check.schema_validation import Evaluated, validate


@dataclass(kw_only=True)
class Report:
    """What came of all checks.

    Args:
        findings: that nothing explains.
        document: the last line.
    """

    findings: list[Finding] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)


def check_all(root: Path, crds: Path, metrics_file: Path, folder: Path, versions: dict[str, str]) -> Report:
    """Check a checkout.

    Args:
        root: the checkout.
        crds: folder with definitions of custom resources.
        metrics_file: with names of metrics.
        folder: empty, to write into.
        versions: of packages; those of tools are added.

    Raises:
        CannotRunError: a tool or a schema is not there.
    """
    renderer, definitions, allowed = find_renderer(), read_definitions(crds), read_allowed(root)
    files = find_files(root)
    kustomizations, findings = read_kustomizations(root / "infra", root)
    rendered = overlays(kustomizations, root / "infra")
    findings += [*allowed.findings, *missing(root, rendered), *unread(kustomizations, rendered, root)]
    remote = list(remote_resources(kustomizations, root))
    findings += remote
    renders, problems = _renders(renderer, [] if remote else rendered, kustomizations, root, allowed)
    findings += problems
    commands: set[str] = set()
    counts: dict[str, int] = {}
    evaluated = Evaluated()
    findings += _of_renders(renders, definitions, allowed, evaluated, commands, root)
    _say(f"{len(renders)} renders, {sum(len(one.objects) for one in renders)} objects; hardening ...")
    problems, counts["hardening_rules"] = hardening(renders, files.dockerfiles, root, folder)
    findings += problems
    findings += _of_files(files, root, metrics_file, folder, commands, counts)
    left, gone = explained(sorted(set(findings)), allowed.exemptions)
    versions = versions | renderer.versions | {"promtool": promtool_version(folder)}
    versions["kubernetes schemas"] = " and ".join(KUBERNETES_VERSIONS)
    document = {
        "status": "failed" if left else "ok",
        "unexplained_findings": len(left),
        "explained_findings": len(gone),
        "rendered": {
            "kustomizations": {one.source: len(one.objects) for one in renders},
            "pod_templates": sum(len(pod_templates(one)) for render in renders for one in render.objects),
            **counts,
            "validated": evaluated.num_by_schema,
            "cel_rules": evaluated.num_rules,
        },
        "objects": sum(len(one.objects) for one in renders),
        "commands": sorted(commands),
        "versions": dict(sorted(versions.items())),
        "not_evaluated": [
            {"kind": kind, "path": path, "rule": rule, "reason": reason, "places": places}
            for (kind, path, rule, reason), places in sorted(evaluated.unevaluated.items())
        ],
    }
    return Report(findings=left, document=document)


def _renders(
    renderer: Renderer,
    rendered: Sequence[Kustomization],
    kustomizations: dict[Path, Kustomization],
    root: Path,
    allowed: Allowed,
) -> tuple[list[Render], list[Finding]]:
    """Each render with those around and below its folder."""
    findings: list[Finding] = []
    objects: dict[Path, list[Manifest]] = {}
    for one in rendered:
        source = str(one.folder.relative_to(root))
        objects[one.folder], problems = render(renderer, one.folder, source)
        findings += problems
    by_hand = frozenset((one.kind, one.name) for one in allowed.by_hand)
    renders = []
    for one in rendered:
        if not objects[one.folder]:
            continue
        names = [part.image_names for part in with_components(one, kustomizations)]
        renders.append(
            Render(
                source=str(one.folder.relative_to(root)),
                objects=objects[one.folder],
                already_there=_together(objects, [other for other in objects if other in one.folder.parents]),
                applied_later=_together(objects, [other for other in objects if one.folder in other.parents]),
                image_names=frozenset().union(*names),
                made_by_hand=by_hand,
            )
        )
    return renders, findings


def _together(objects: dict[Path, list[Manifest]], folders: Sequence[Path]) -> list[Manifest]:
    return [manifest for folder in folders for manifest in objects[folder]]


def _of_renders(
    renders: Sequence[Render],
    definitions: Definitions,
    allowed: Allowed,
    evaluated: Evaluated,
    commands: set[str],
    root: Path,
) -> list[Finding]:
    findings: list[Finding] = []
    named: set[tuple[str, str]] = set()
    for one in renders:
        findings += validate(one, definitions, allowed.kinds, evaluated)
        findings += broken_laws(one)
        findings += entry_points(one, root, commands)
        named |= named_elsewhere(one)
    return [*findings, *stale(allowed, evaluated.kinds_without_schema, named)]


def _of_files(
    files: Files, root: Path, metrics_file: Path, folder: Path, commands: set[str], counts: dict[str, int]
) -> list[Finding]:
    findings = hadolint(files.dockerfiles, root, folder)
    for path in files.dockerfiles:
        text = (root / path).read_text(encoding="utf-8")
        findings += bases(text, str(path))
        found = commands_of(text)
        commands.update(found)
        for problem in problems_of(found, "\n".join(found), root):
            change = "name a file of this repository: python jobs/NAME.py"
            findings.append(Finding(check="law/command", source=str(path), problem=problem, change=change))
    for path in files.compose:
        findings += compose(root / path, str(path), root, commands)
    metrics, problems = _metrics(metrics_file, root)
    findings += problems
    counts |= {"dockerfiles": len(files.dockerfiles), "compose": len(files.compose), "rules": 0, "panels": 0}
    for path in files.rules:
        problems, number = check_rules(root / path, str(path), metrics, folder)
        findings += problems
        counts["rules"] += number
    for path in files.dashboards:
        problems, number = check_dashboard(root / path, str(path), metrics)
        findings += problems
        counts["panels"] += number
    return findings


def _metrics(path: Path, root: Path) -> tuple[frozenset[str], list[Finding]]:
    source = str(path.relative_to(root)) if root in path.parents else str(path)
    finding = Finding(check="discovery", source=source, problem="", change="write names of metrics, one a line")
    try:
        return read_metric_names(path), []
    except (OSError, ValueError) as error:
        return frozenset(), [replace(finding, problem=f"no list of metrics: {error}")]


def _say(text: str) -> None:
    print(f"infra/check: {text}", file=sys.stderr, flush=True)
