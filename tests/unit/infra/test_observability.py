"""Dashboards and alarms ask for numbers that are there."""

import json
import re

import pytest
import yaml
from repository import ROOT

from pipeline.console import gauges

FOLDER = ROOT / "infra" / "observability"
METRIC = re.compile(r"\b((?:ray|kube|kubelet|kuberay)_[a-z_]+)(?:\{([^}]*)\})?")
OF_RAY = {"SessionName"}  # what Ray adds and is used
GAUGES = {f"ray_{gauge.name}": {*gauge.labels} | OF_RAY for gauge in gauges.ALL}


def rules():
    """Name -> rule."""
    return {
        rule["alert"]: rule
        for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
        for rule in group["rules"]
    }


def panels():
    """Of the dashboard."""
    return json.loads((FOLDER / "dashboard.json").read_text())["panels"]


def expressions():
    """Where from -> expression."""
    found = {name: rule["expr"] for name, rule in rules().items()}
    return found | {panel["title"]: target["expr"] for panel in panels() for target in panel["targets"]}


@pytest.mark.parametrize("where", expressions())
def test_an_expression_asks_for_what_is_shown(where):
    """Metrics are listed; ours exist, with the labels that are asked for."""
    listed = {line for line in (FOLDER / "metrics.txt").read_text().splitlines() if not line.startswith("#")}
    assert {name for name in listed if name.startswith("ray_")} == GAUGES.keys()
    found = METRIC.findall(expressions()[where])
    assert found
    for name, selector in found:
        assert name in listed
        asked = set(re.findall(r"(\w+)\s*[=!]", selector))
        assert name not in GAUGES or asked <= GAUGES[name]


def test_every_number_of_ours_is_seen():
    """One that no panel shows would be collected for nothing."""
    shown = {name for panel in panels() for target in panel["targets"] for name, _ in METRIC.findall(target["expr"])}
    assert shown == GAUGES.keys()


def test_an_alarm_says_what_to_look_at():
    """A sentence of what it is, and one of what to do."""
    for name, rule in rules().items():
        assert name.startswith("Dq") and rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert {*rule["annotations"]} == {"summary", "description"} and rule["annotations"]["description"].endswith(".")


def test_panels_have_places_of_their_own():
    """And numbers, which Grafana links to."""
    places = [tuple(panel["gridPos"][name] for name in "xywh") for panel in panels()]
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for one, (x, y, w, h) in enumerate(places):
        for left, top, width, height in places[:one]:
            assert x >= left + width or left >= x + w or y >= top + height or top >= y + h
