"""What runs at times or to an end is bounded: one at a time, not too late, not for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.check.finding import Finding
from infra.check.pod_templates import pod_templates, ray_specifications
from infra.check.rendered import Manifest, Render, at, is_number, mapping

SCHEDULE, DEADLINE, GRACE = "law/schedule", "law/deadline", "law/grace-period"
# Jobs save within 30 s of SIGTERM (infra/README.md); Ray's own shutdown needs some, too.
LEAST_GRACE_SECONDS = 40
_BOUNDS = ("activeDeadlineSeconds", "backoffLimit")


def schedules(render: Render) -> Iterator[Finding]:
    """A CronJob never runs twice at once, gives up ticks that it missed, and keeps few old jobs."""
    for manifest in render.objects:
        if manifest.get("kind") != "CronJob":
            continue
        if at(manifest, "spec.concurrencyPolicy") != "Forbid":
            problem, change = "two of its jobs may run at once", "set concurrencyPolicy: Forbid"
            yield render.finding(SCHEDULE, manifest, "spec.concurrencyPolicy", problem, change)
        for name in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
            if not is_number(at(manifest, f"spec.{name}")):
                yield render.finding(SCHEDULE, manifest, f"spec.{name}", "it is not given", "give it")
        yield from _bounded(render, manifest, "spec.jobTemplate.spec")


def deadlines(render: Render) -> Iterator[Finding]:
    """Jobs, Ray's too, end: after so many tries, at the latest after so long, and what they leave is removed."""
    for manifest in render.objects:
        if manifest.get("kind") == "Job":
            yield from _bounded(render, manifest, "spec")
        _, job = ray_specifications(manifest) or ("", None)
        if job is None:
            continue
        yield from _bounded(render, manifest, job)
        said = mapping(at(manifest, job))
        if not said.get("clusterSelector") and not _removes_its_cluster(said):
            problem = "its cluster stays when the job has ended"
            change = "set shutdownAfterJobFinishes and ttlSecondsAfterFinished, or deletionStrategy.deletionRules"
            yield render.finding(DEADLINE, manifest, job, problem, change)


def _removes_its_cluster(said: dict[str, Any]) -> bool:
    if at(said, "deletionStrategy.deletionRules"):
        return True
    return said.get("shutdownAfterJobFinishes") is True and is_number(said.get("ttlSecondsAfterFinished"))


def _bounded(render: Render, manifest: Manifest, path: str) -> Iterator[Finding]:
    for name in _BOUNDS:
        if not is_number(at(manifest, f"{path}.{name}")):
            problem = "it is not given, so a job that hangs stays" if name == _BOUNDS[0] else "it is not given"
            yield render.finding(DEADLINE, manifest, f"{path}.{name}", problem, "give it")


def grace_periods(render: Render) -> Iterator[Finding]:
    """Pods of Ray have the time that a job needs to save where it trains."""
    for manifest in render.objects:
        for template in pod_templates(manifest):
            seconds = template.spec.get("terminationGracePeriodSeconds")
            if template.runs_ray and not (is_number(seconds) and seconds >= LEAST_GRACE_SECONDS):
                problem = f"{seconds if is_number(seconds) else 'the default of 30'} s are too short to save"
                change = f"set terminationGracePeriodSeconds to {LEAST_GRACE_SECONDS} or more"
                path = f"{template.path}.spec.terminationGracePeriodSeconds"
                yield render.finding(GRACE, manifest, path, problem, change)
