"""PromQL: expressions parse, and the metrics that they name exist.

Parsed by promql-parser (a Rust implementation of Prometheus' own grammar that knows functions and types of values).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Metrics that Prometheus itself makes.
OF_PROMETHEUS = frozenset(
    {"up", "ALERTS", "ALERTS_FOR_STATE", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added"}
)
METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
Problem = tuple[str, str]  # check, problem


def read_metric_names(path: Path) -> frozenset[str]:
    """Names in a text file, one a line, `#` begins a comment.

    Raises:
        ValueError: a line is no name; the text says which.
    """
    lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    for line in filter(None, lines):
        if not METRIC_NAME.fullmatch(line):
            raise ValueError(f"'{line}' is no name of a metric")
    return frozenset(filter(None, lines))


def problems_of(expression: str, known: frozenset[str]) -> Iterator[Problem]:
    """What is wrong with an expression.

    Args:
        expression: in PromQL, without variables.
        known: names of metrics.
    """
    import promql_parser

    try:
        tree = promql_parser.parse(expression)
    except ValueError as error:
        yield "promql", f"no PromQL: {' '.join(str(error).split())}"
        return
    selectors: list[Any] = []
    promql_parser.walk(
        tree, lambda node: selectors.append(node) if isinstance(node, promql_parser.VectorSelector) else None
    )
    for name in sorted({_name(one) for one in selectors}):
        if not name:
            yield "law/metric", "a selector without the name of a metric"
        elif name not in known and name not in OF_PROMETHEUS:
            yield "law/metric", f"no metric is called {name}"


def _name(selector: Any) -> str:
    """The name of a selector's metric; empty: it has none, or a pattern."""
    if selector.name:
        return str(selector.name)
    found = re.search(r'__name__="([^"]*)"', str(selector.matchers))
    return found.group(1) if found else ""
