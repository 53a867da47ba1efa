"""Images are pinned, or their releases are named where an overlay names them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.check.finding import Finding
from infra.check.pod_templates import pod_templates
from infra.check.rendered import Render

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
CHECK = "law/image"


def images(render: Render) -> Iterator[Finding]:
    """No image without a tag or digest, none called `latest`; a digest, unless `images:` of the overlay sets it."""
    for manifest in render.objects:
        for template in pod_templates(manifest):
            for container in template.containers:
                image = str(container.body.get("image") or "")
                problem = image_problem(image, render.image_names)
                if problem:
                    change = "pin it by digest (name@sha256:...), or name its release in `images:` of the overlay"
                    yield render.finding(CHECK, manifest, f"{container.path}.image", problem, change)


def image_problem(image: str, set_by_overlay: frozenset[str] = frozenset()) -> str:
    """What is wrong with an image's name; empty: nothing.

    Args:
        image: its name, tag and digest.
        set_by_overlay: names of images that an overlay sets, which need a tag alone.
    """
    if not image:
        return "no image is given"
    name, _, digest = image.partition("@")
    repository, tag = _split(name)
    if digest:
        return "" if _DIGEST.fullmatch(digest) else f"'{digest}' is no digest of sha256"
    if not tag:
        return f"'{image}' has neither tag nor digest, so it is whatever was pushed last"
    if tag == "latest":
        return f"'{image}' is whatever was pushed last"
    if repository not in set_by_overlay:
        return f"'{image}' has no digest, and a tag can be pushed again"
    return ""


def _split(name: str) -> tuple[str, str]:
    """Repository and tag; a colon before the last slash is the port of a registry."""
    head, slash, last = name.rpartition("/")
    base, _, tag = last.partition(":")
    return f"{head}{slash}{base}", tag
