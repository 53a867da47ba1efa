"""Grafana's dashboards: every panel asks something, of a source that can be chosen, and what it asks parses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.check.documents import DocumentError, json_document
from infra.check.finding import Finding
from infra.check.promql import problems_of
from infra.check.rendered import at, mapping, sequence

CHECK = "law/dashboard"
# Panels that show no data of a source.
_WITHOUT_QUERIES = {"row", "text", "dashlist", "news"}
_DURATIONS = {"__rate_interval": "5m", "__interval": "1m", "__range": "1h"}
_NUMBERS = {"__interval_ms": "60000", "__range_s": "3600", "__range_ms": "3600000", "__from": "0", "__to": "1"}
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::\w+)?\}|)")
_LABEL_VALUES = re.compile(r"label_values\((?:(?P<expression>.*),)?\s*\w+\s*\)", re.DOTALL)
Problem = tuple[str, str, str, str]  # check, panel, path, problem


def check_dashboard(path: Path, source: str, metrics: frozenset[str]) -> tuple[list[Finding], int]:
    """What is wrong with a dashboard, and how many panels it has.

    Args:
        path: of the file.
        source: its name for messages.
        metrics: names that exist.
    """
    try:
        document = json_document(path)
    except DocumentError as error:
        return [_finding(source, (CHECK, "", "", str(error)))], 0
    if not isinstance(document, dict):
        return [_finding(source, (CHECK, "", "", "no dashboard: it is no mapping"))], 0
    panels = list(panels_of(document))
    return [_finding(source, one) for one in problems_of_dashboard(document, panels, metrics)], len(panels)


def panels_of(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, panel) of all panels, those inside rows, too."""
    for number, panel in enumerate(map(mapping, sequence(document.get("panels")))):
        yield f"panels[{number}]", panel
        for index, inner in enumerate(map(mapping, sequence(panel.get("panels")))):
            yield f"panels[{number}].panels[{index}]", inner


def problems_of_dashboard(
    document: dict[str, Any], panels: list[tuple[str, dict[str, Any]]], metrics: frozenset[str]
) -> Iterator[Problem]:
    """What is wrong with it."""
    for key in ("title", "uid", "schemaVersion"):
        if not document.get(key):
            yield CHECK, "", key, "it is not given"
    if document.get("id") is not None:
        yield CHECK, "", "id", "a number of one Grafana, which another one has for something else"
    variables = {str(mapping(one).get("name")): mapping(one) for one in sequence(at(document, "templating.list"))}
    sources = {name for name, one in variables.items() if one.get("type") == "datasource"}
    if not sources:
        yield CHECK, "", "templating.list", "no variable of type datasource, so it works with one Grafana alone"
    if not any(str(panel.get("type")) not in _WITHOUT_QUERIES for _, panel in panels):
        yield CHECK, "", "panels", "no panel asks anything"
    ids: list[Any] = []
    for path, panel in panels:
        name, number = str(panel.get("title") or panel.get("id") or ""), panel.get("id")
        if not isinstance(number, int) or number in ids:
            yield CHECK, name, f"{path}.id", f"{number} is no number of its own"
        ids.append(number)
        if not panel.get("title") and panel.get("type") != "text":
            yield CHECK, name, f"{path}.title", "it is not given"
        if str(panel.get("type")) not in _WITHOUT_QUERIES:
            yield from _queries(panel, name, path, sources, set(variables), metrics)
    for name, one in variables.items():
        yield from _variable(name, one, sources, set(variables), metrics)


def _queries(
    panel: dict[str, Any], name: str, path: str, sources: set[str], variables: set[str], metrics: frozenset[str]
) -> Iterator[Problem]:
    targets = [mapping(one) for one in sequence(panel.get("targets"))]
    if not targets:
        yield CHECK, name, f"{path}.targets", "it asks nothing"
    letters = [str(one.get("refId") or "") for one in targets]
    if len(set(letters)) != len(letters) or not all(letters):
        yield CHECK, name, f"{path}.targets", f"refIds are not unique: {letters}"
    for index, target in enumerate(targets):
        where = f"{path}.targets[{index}]"
        if not _is_chosen(target.get("datasource", panel.get("datasource")), sources):
            yield CHECK, name, f"{where}.datasource", "it is not the variable of type datasource"
        expression = str(target.get("expr") or "")
        if not expression.strip():
            yield CHECK, name, f"{where}.expr", "it is not given"
            continue
        yield from _expression(expression, name, f"{where}.expr", variables, metrics)


def _variable(
    name: str, one: dict[str, Any], sources: set[str], variables: set[str], metrics: frozenset[str]
) -> Iterator[Problem]:
    if one.get("type") != "query":
        return
    label = f"${name}"
    if not _is_chosen(one.get("datasource"), sources):
        yield CHECK, label, "templating.list", "its datasource is not the variable of type datasource"
    query = one.get("query")
    text = str(mapping(query).get("query") if isinstance(query, dict) else query or "")
    found = _LABEL_VALUES.fullmatch(text.strip())
    if found is None and not text.startswith("query_result("):
        yield CHECK, label, "templating.list", f"'{text}' is neither label_values(...) nor query_result(...)"
    expression = found["expression"] if found else text.removeprefix("query_result(").removesuffix(")")
    if expression:
        yield from _expression(expression, label, "templating.list", variables, metrics)


def _expression(text: str, name: str, path: str, variables: set[str], metrics: frozenset[str]) -> Iterator[Problem]:
    for variable in sorted(_names(text) - variables - _DURATIONS.keys() - _NUMBERS.keys()):
        yield CHECK, name, path, f"there is no variable ${variable}"
    for check, problem in problems_of(without_variables(text), metrics):
        yield check, name, path, problem


def without_variables(text: str) -> str:
    """An expression as Grafana sends it, with some value for each variable."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2] or ""
        if name in _DURATIONS:
            return _DURATIONS[name]
        in_range = text[: found.start()].rstrip()[-1:] in ("[", ":")
        return _NUMBERS.get(name, "5m" if in_range else "1") if name else "$"  # a lone one ends a pattern

    return _VARIABLE.sub(value, text)


def _names(text: str) -> set[str]:
    return {found[1] or found[2] for found in _VARIABLE.finditer(text) if found[1] or found[2]}


def _is_chosen(source: Any, sources: set[str]) -> bool:
    uid = mapping(source).get("uid") if isinstance(source, dict) else source
    return any(uid in (f"${name}", f"${{{name}}}") for name in sources)


def _finding(source: str, problem: Problem) -> Finding:
    check, panel, path, text = problem
    label = f"panel/{panel}" if panel else ""
    change = "correct it" if check != "law/metric" else "correct the name, or add it to the list of metrics"
    return Finding(check=check, source=source, object=label, path=path, problem=text, change=change)
