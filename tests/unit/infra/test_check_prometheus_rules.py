"""`infra/check/prometheus_rules.py`: rules are what Prometheus reads, and tell people what to do."""

import pytest
import yaml
from small_infra import ALERTS

from infra.check import prometheus_rules
from infra.check.prometheus_rules import check_rules, is_duration, problems_of_groups


@pytest.fixture(autouse=True)
def expressions(monkeypatch):
    """Expressions are taken: what they are is another module's."""
    seen = []
    monkeypatch.setattr(prometheus_rules, "problems_of", lambda text, known: seen.append((text, known)) or iter(()))
    monkeypatch.setattr(prometheus_rules, "find_tool", lambda name: None)
    return seen


def groups(change):
    document = yaml.safe_load(ALERTS)["groups"]
    change(document)
    return [(check, path) for check, _, path, _ in problems_of_groups(document, frozenset())]


def test_a_good_file_has_no_findings_and_recorded_names_are_known(tmp_path, expressions):
    """A rule may use what another one records."""
    (tmp_path / "alerts.yaml").write_text(ALERTS)
    assert check_rules(tmp_path / "alerts.yaml", "alerts.yaml", frozenset({"m"}), tmp_path) == ([], 2)
    assert [text for text, _ in expressions] == ["rate(ray_dq_failed_total[5m])", "dq:failed:rate > 0"]
    assert expressions[0][1] == {"m", "dq:failed:rate"}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda g: g[0].pop("name"), "groups[0]"),
        (lambda g: g.append({**g[0], "rules": [g[0]["rules"][0]]}), "groups[1]"),
        (lambda g: g[0].update(intervall="1m"), "groups[0].intervall"),
        (lambda g: g[0].update(interval="1 min"), "groups[0].interval"),
        (lambda g: g[0].update(rules=[]), "groups[0]"),
        (lambda g: g[0]["rules"].append(g[0]["rules"][1]), "groups[0].rules[2]"),
        (lambda g: g[0]["rules"][1].update(record="x"), "groups[0].rules[1]"),
        (lambda g: g[0]["rules"][0].pop("record"), "groups[0].rules[0]"),
        (lambda g: g[0]["rules"][0].update(record="a-b"), "groups[0].rules[0]"),
        (lambda g: g[0]["rules"][1].update(fro="5m"), "groups[0].rules[1].fro"),
        (lambda g: g[0]["rules"][1].update({"for": 5}), "groups[0].rules[1].for"),
        (lambda g: g[0]["rules"][1]["labels"].pop("severity"), "groups[0].rules[1].labels"),
        (lambda g: g[0]["rules"][1]["annotations"].pop("description"), "groups[0].rules[1].annotations"),
        (lambda g: g[0]["rules"][1]["labels"].update(team=1), "groups[0].rules[1].labels.team"),
        (lambda g: g[0]["rules"][1].pop("expr"), "groups[0].rules[1].expr"),
    ],
)
def test_one_mistake_is_found_where_it_is(change, path):
    """Prometheus would not start, or whoever is woken would not know what to do."""
    assert ("prometheus", path) in groups(change)


@pytest.mark.parametrize("text", ["", "a: 1", "groups: []", "groups: {}", "groups: [\n", "groups: [{}]\nx: 1"])
def test_a_file_that_holds_no_rules_is_said(tmp_path, text):
    """And is not taken for one without mistakes."""
    (tmp_path / "alerts.yaml").write_text(text)
    findings, number = check_rules(tmp_path / "alerts.yaml", "alerts.yaml", frozenset(), tmp_path)
    assert len(findings) == 1 and number == 0


def test_durations_are_prometheus_own():
    """Not ISO 8601, no fractions, in their order."""
    assert all(map(is_duration, ["5m", "1h30m", "1d", "0", "1y2w3d4h5m6s7ms"]))
    assert not any(map(is_duration, ["", "5", "5 m", "1.5h", "30m1h", 5, None, "PT5M"]))
