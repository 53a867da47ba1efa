"""compose.yaml: what is asked of containers in a cluster, as far as one machine has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.check.documents import DocumentError, yaml_document
from infra.check.entry_points import command_of, commands_in, problems_of
from infra.check.finding import Finding
from infra.check.laws.images import image_problem
from infra.check.laws.secrets import is_secret_name, secret_in_text
from infra.check.rendered import mapping, sequence, walk

_TOP = {"name", "services", "networks", "volumes", "configs", "secrets"}
_DEFINED = {"networks": "networks", "volumes": "volumes", "configs": "configs", "secrets": "secrets"}
_LOOPBACK = ("127.0.0.1:", "[::1]:")


def compose(path: Path, source: str, root: Path, commands: set[str]) -> list[Finding]:
    """What is wrong with a file.

    Args:
        path: of the file.
        source: its name for messages.
        root: the checkout.
        commands: is added to.
    """
    try:
        document = yaml_document(path)
    except DocumentError as error:
        return [_finding("compose/file", source, "", "", str(error), "write valid YAML")]
    services = mapping(mapping(document).get("services"))
    found = []
    if not services:
        found.append(_finding("compose/file", source, "", "services", "there are none", "add some"))
    for key in sorted(set(mapping(document)) - _TOP):
        if not str(key).startswith("x-"):
            found.append(_finding("compose/file", source, "", key, "no key of a compose file", "remove it"))
    for name, service in services.items():
        for check, where, problem, change in _of_service(mapping(service), mapping(document), services):
            found.append(_finding(check, source, name, where, problem, change))
        for where, problem in _commands(mapping(service), root, commands):
            change = "name a file of this repository: python jobs/NAME.py"
            found.append(_finding("law/command", source, name, where, problem, change))
    return found


def _of_service(
    service: dict[str, Any], document: dict[str, Any], services: dict[str, Any]
) -> Iterator[tuple[str, str, str, str]]:
    image = _filled(str(service.get("image") or ""))
    if "build" not in service and "@$" not in image and (problem := image_problem(image)):
        yield "compose/image", "image", problem, "pin it by digest, name@sha256:..."
    yield from _hardening(service)
    yield from _names(service, document, services)
    yield from _secrets(service)


def _filled(text: str) -> str:
    """A text with the defaults of its variables; `@${DIGEST:?}` stays: compose asks for it."""
    return re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", re.sub(r"(\$\{\w+)(:?\?[^}]*)?\}", r"\1}", text))


def _hardening(service: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    check = "compose/hardening"
    if service.get("privileged"):
        yield check, "privileged", "it is privileged", "remove it"
    for name in ("network_mode", "pid", "ipc"):
        if service.get(name) == "host":
            yield check, name, f"it shares the machine's {name}", "remove it"
    if "ALL" not in sequence(service.get("cap_drop")):
        yield check, "cap_drop", "it keeps capabilities", "set cap_drop: [ALL]"
    options = {str(one).replace("=", ":") for one in sequence(service.get("security_opt"))}
    if not options & {"no-new-privileges", "no-new-privileges:true"}:
        yield check, "security_opt", "it may gain privileges", "set security_opt: [no-new-privileges:true]"
    if service.get("read_only") is not True:
        yield (
            check,
            "read_only",
            "its root file system can be written",
            "set read_only: true and mount what it writes to",
        )
    limits = mapping(mapping(mapping(service.get("deploy")).get("resources")).get("limits"))
    if "mem_limit" not in service and "memory" not in limits:
        yield check, "mem_limit", "it may take all memory", "set mem_limit"
    if "healthcheck" not in service and service.get("restart") not in ("no", None):
        yield check, "healthcheck", "nobody sees that it hangs", "give it a healthcheck"
    for number, port in enumerate(sequence(service.get("ports"))):
        host = mapping(port).get("host_ip") if isinstance(port, dict) else None
        if host not in ("127.0.0.1", "::1") and not str(port).startswith(_LOOPBACK):
            yield check, f"ports[{number}]", f"'{port}' is open to the network", "publish it on 127.0.0.1"


def _names(
    service: dict[str, Any], document: dict[str, Any], services: dict[str, Any]
) -> Iterator[tuple[str, str, str, str]]:
    """What a service names is there."""
    check, change = "compose/name", "correct the name or define it"
    for other in mapping(service.get("depends_on")) or sequence(service.get("depends_on")):
        if other not in services:
            yield check, "depends_on", f"there is no service {other}", change
    for key, defined in _DEFINED.items():
        for one in mapping(service.get(key)) or sequence(service.get(key)):
            name = one.get("source") if isinstance(one, dict) else str(one).partition(":")[0]
            is_bind = isinstance(one, dict) and one.get("type") not in (None, "volume")
            if not name or is_bind or (key == "volumes" and str(name).startswith((".", "/", "~", "$"))):
                continue
            if name not in mapping(document.get(defined)):
                yield check, key, f"'{name}' is not defined under {defined}", change


def _secrets(service: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    check, change = "law/literal-secret", "take it from `secrets`, or from a variable that must be set: ${NAME:?}"
    environment = service.get("environment")
    pairs = [str(one).partition("=")[::2] for one in environment] if isinstance(environment, list) else None
    for name, value in pairs if pairs is not None else mapping(environment).items():
        is_required = str(value).startswith("${") and ":-" not in str(value)
        if value and is_secret_name(str(name)) and not is_required:
            yield check, f"environment.{name}", "its value stands in the file", change
    for path, value in walk(service):
        if isinstance(value, str) and (problem := secret_in_text(value)):
            yield check, path, problem, change


def _commands(service: dict[str, Any], root: Path, commands: set[str]) -> Iterator[tuple[str, str]]:
    for key in ("entrypoint", "command"):
        given = service.get(key)
        words = [str(one) for one in given] if isinstance(given, list) else []
        found = command_of(words) if words else commands_in(str(given or ""))
        commands.update(found)
        for problem in problems_of(found, "\n".join(words) or str(given or ""), root):
            yield key, problem


def _finding(check: str, source: str, service: str, path: str, problem: str, change: str) -> Finding:
    name = f"service/{service}" if service else ""
    return Finding(check=check, source=source, object=name, path=path, problem=problem, change=change)
