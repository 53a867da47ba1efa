"""No secret stands in a manifest: whoever reads the repository or the object would have it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from infra.check.finding import Finding
from infra.check.pod_templates import pod_templates
from infra.check.rendered import Render, mapping, sequence, walk

CHECK = "law/literal-secret"
_SECRET_NAME = re.compile(
    r"(^|_)(PASSWORDS?|PASSWD|PASS|PWD|TOKEN|SECRET|(API|ACCESS|PRIVATE|SECRET|ENCRYPTION)_?KEY|CREDENTIALS?)(_|$)",
    re.IGNORECASE,
)
# They say where a secret lies or how it is used, not the secret.
_HARMLESS_ENDS = ("_PATH", "_FILE", "_DIR", "_NAME", "_MODE", "_SECONDS", "_URL", "_TYPE", "_ENABLED", "_HEADER")
_LOGIN_IN_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/@:]*:(?P<password>[^\s/@]+)@", re.IGNORECASE)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_ASSIGNED = re.compile(r"(?:^|\s)-{0,2}(?P<name>[A-Za-z][\w-]*)[= ](?P<value>[^\s$'\"]\S*)")
_CHANGE = "take it from a Secret (valueFrom.secretKeyRef), and let people make that"


def literal_secrets(render: Render) -> Iterator[Finding]:
    """No value of a variable, of an argument, of a ConfigMap or of a Secret is one."""
    for manifest in render.objects:
        if manifest.get("kind") == "Secret":
            if mapping(manifest.get("data")) or mapping(manifest.get("stringData")):
                change = "let people make the Secret, and name it in infra/check/made_by_hand.yaml"
                yield render.finding(CHECK, manifest, "data", "a Secret with its values in the repository", change)
            continue
        for path, value in walk(manifest):
            if isinstance(value, str) and (problem := secret_in_text(value)):
                yield render.finding(CHECK, manifest, path, problem, _CHANGE)
        for template in pod_templates(manifest):
            for container in template.containers:
                for key, problem in _of_container(container.body):
                    yield render.finding(CHECK, manifest, f"{container.path}.{key}", problem, _CHANGE)


def _of_container(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for number, one in enumerate(sequence(body.get("env"))):
        name, value = str(mapping(one).get("name")), mapping(one).get("value")
        if value and is_secret_name(name) and not _is_reference(str(value)):
            yield f"env[{number}]", f"{name} has its value in the manifest"
    for key in ("command", "args"):
        words = " ".join(str(word) for word in sequence(body.get(key)))
        for found in _ASSIGNED.finditer(words):
            if is_secret_name(found["name"].replace("-", "_")) and not _is_reference(found["value"]):
                yield key, f"{found['name']} has its value in the command"


def is_secret_name(name: str) -> bool:
    """Whether a variable's name says that its value is a secret."""
    return bool(_SECRET_NAME.search(name)) and not name.upper().endswith(_HARMLESS_ENDS)


def secret_in_text(text: str) -> str:
    """What is secret in a text, as a problem, without the secret; empty: nothing is."""
    if _PRIVATE_KEY.search(text):
        return "a private key stands in the manifest"
    if (found := _LOGIN_IN_ADDRESS.search(text)) and not _is_reference(found["password"]):
        return "an address with a login stands in the manifest"
    return ""


def _is_reference(value: str) -> bool:
    """`$(NAME)`, `$NAME` or `${NAME}`: filled in where it runs."""
    return bool(re.fullmatch(r"\$(\(\w+\)|\w+|\{\w+(:\?[^}]*)?\})", value.strip("'\"")))
