"""Files of Prometheus' rules: their structure, strictly, their expressions, and promtool where it is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.check.documents import DocumentError, yaml_document
from infra.check.finding import Finding
from infra.check.promql import METRIC_NAME, problems_of
from infra.check.rendered import mapping, sequence
from infra.check.tools import find_tool, run_tool

_GROUP = {"name", "interval", "limit", "query_offset", "labels", "rules"}
_RULE = {"expr", "labels"}
_ALERT = {*_RULE, "alert", "for", "keep_firing_for", "annotations"}
_RECORD = {*_RULE, "record"}
_DURATION = re.compile(r"(?=\d)(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# Whoever is woken must know how urgent it is and what to do.
NEEDED_LABELS, NEEDED_ANNOTATIONS = ("severity",), ("summary", "description")
Problem = tuple[str, str, str, str]  # check, rule, path, problem


def check_rules(path: Path, source: str, metrics: frozenset[str], folder: Path) -> tuple[list[Finding], int]:
    """What is wrong with a file of rules, and how many rules it has.

    Args:
        path: of the file.
        source: its name for messages.
        metrics: names that exist.
        folder: for promtool to run in.
    """
    try:
        document = yaml_document(path)
    except DocumentError as error:
        return [_finding(source, ("prometheus", "", "", str(error)))], 0
    if not isinstance(document, dict) or set(document) != {"groups"} or not sequence(document["groups"]):
        problem = "no file of rules: it is a mapping with the one key `groups`, a list with entries"
        return [_finding(source, ("prometheus", "", "", problem))], 0
    groups = [mapping(one) for one in document["groups"]]
    rules = [mapping(rule) for group in groups for rule in sequence(group.get("rules"))]
    recorded = frozenset(str(one["record"]) for one in rules if "record" in one)
    found = [_finding(source, one) for one in problems_of_groups(groups, metrics | recorded)]
    return [*found, *_promtool(path, source, folder)], len(rules)


def problems_of_groups(groups: list[dict[str, Any]], metrics: frozenset[str]) -> Iterator[Problem]:
    """What is wrong with groups of rules."""
    seen_groups: list[str] = []
    seen_alerts: list[str] = []
    for number, group in enumerate(groups):
        path, name = f"groups[{number}]", str(group.get("name") or "")
        if not name or name in seen_groups:
            yield "prometheus", "", path, "its name is not given" if not name else f"a second group '{name}'"
        seen_groups.append(name)
        yield from _keys(group, _GROUP, path)
        if "interval" in group and not is_duration(group["interval"]):
            yield "prometheus", "", f"{path}.interval", f"'{group['interval']}' is no duration"
        if not sequence(group.get("rules")):
            yield "prometheus", "", path, "it has no rules"
        for index, rule in enumerate(map(mapping, sequence(group.get("rules")))):
            yield from _rule(rule, f"{path}.rules[{index}]", metrics)
            alert = str(rule.get("alert") or "")
            if alert and alert in seen_alerts:
                yield "prometheus", alert, f"{path}.rules[{index}]", "a second alert of this name"
            seen_alerts.append(alert)


def _rule(rule: dict[str, Any], path: str, metrics: frozenset[str]) -> Iterator[Problem]:
    name = str(rule.get("alert") or rule.get("record") or "")
    if ("alert" in rule) == ("record" in rule) or not name:
        yield "prometheus", name, path, "it needs either `alert` or `record`"
    yield from _keys(rule, _ALERT if "alert" in rule else _RECORD, path, name)
    if "record" in rule and not METRIC_NAME.fullmatch(name):
        yield "prometheus", name, path, f"'{name}' is no name of a metric"
    for key in ("for", "keep_firing_for"):
        if key in rule and not is_duration(rule[key]):
            yield "prometheus", name, f"{path}.{key}", f"'{rule[key]}' is no duration"
    for key in ("labels", "annotations"):
        for label, value in mapping(rule.get(key)).items():
            if not _LABEL.fullmatch(str(label)) or not isinstance(value, str):
                yield "prometheus", name, f"{path}.{key}.{label}", "a label is a name and a text"
    if "alert" in rule:
        for key, needed in (("labels", NEEDED_LABELS), ("annotations", NEEDED_ANNOTATIONS)):
            for label in needed:
                if not mapping(rule.get(key)).get(label):
                    yield "prometheus", name, f"{path}.{key}", f"{label} is not given"
    expression = rule.get("expr")
    if not isinstance(expression, str | int | float) or not str(expression).strip():
        yield "prometheus", name, f"{path}.expr", "it is not given"
        return
    for check, problem in problems_of(str(expression), metrics):
        yield check, name, f"{path}.expr", problem


def is_duration(value: Any) -> bool:
    """Whether it is one as Prometheus writes them, `1h30m`."""
    return isinstance(value, str) and (value == "0" or bool(_DURATION.fullmatch(value)))


def _keys(given: dict[str, Any], allowed: set[str], path: str, name: str = "") -> Iterator[Problem]:
    for key in sorted(set(map(str, given)) - allowed):
        yield "prometheus", name, f"{path}.{key}", f"unknown; allowed are {', '.join(sorted(allowed))}"


def _promtool(path: Path, source: str, folder: Path) -> list[Finding]:
    tool = find_tool("promtool")
    if tool is None:
        return []
    done = run_tool([str(tool), "check", "rules", str(path.resolve())], folder)
    if done.returncode == 0:
        return []
    said = " ".join((done.stderr or done.stdout).split())
    return [_finding(source, ("prometheus", "", "", f"promtool: {said}"))]


def promtool_version(folder: Path) -> str:
    """Its version; where it is not installed, that."""
    tool = find_tool("promtool")
    if tool is None:
        return "not installed"
    found = re.search(r"version (\S+)", "".join(run_tool([str(tool), "--version"], folder).stdout))
    return found.group(1) if found else "unknown"


def _finding(source: str, problem: Problem) -> Finding:
    check, name, path, text = problem
    label = f"rule/{name}" if name else ""
    change = "correct it" if check != "law/metric" else "correct the name, or add it to the list of metrics"
    return Finding(check=check, source=source, object=label, path=path, problem=text, change=change)
