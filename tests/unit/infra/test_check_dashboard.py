"""`infra/check/dashboard.py`: panels ask what there is, of a source that can be chosen."""

import json

import pytest
from small_infra import dashboard

from infra.check import dashboard as module
from infra.check.dashboard import check_dashboard, without_variables


@pytest.fixture
def paths(tmp_path, monkeypatch):
    """`paths(change)`: where something is wrong with a changed dashboard; expressions are another module's."""
    monkeypatch.setattr(module, "problems_of", lambda text, known: paths_of.seen.append(text) or iter(()))

    def paths_of(change=lambda document: None):
        document = dashboard()
        change(document)
        (tmp_path / "d.json").write_text(json.dumps(document))
        paths_of.seen = []
        findings, paths_of.num_panels = check_dashboard(tmp_path / "d.json", "d.json", frozenset())
        return [one.path for one in findings]

    return paths_of


def test_a_good_one_has_no_findings(paths):
    """What it asks is parsed without Grafana's variables; a variable asks, too."""
    assert paths() == [] and paths.num_panels == 2
    assert paths.seen == ['avg(ray_dq_loss{job=~"1"}) + rate(ray_dq_failed_total[5m])', "ray_dq_loss"]


PANEL, TARGET = "panels[1]", "panels[1].targets[0]"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda d: d.pop("uid"), "uid"),
        (lambda d: d.update(id=7), "id"),
        (lambda d: d["panels"].pop(), "panels"),
        (lambda d: d["panels"][1].update(id=1), f"{PANEL}.id"),
        (lambda d: d["panels"][1].pop("id"), f"{PANEL}.id"),
        (lambda d: d["panels"][1].pop("title"), f"{PANEL}.title"),
        (lambda d: d["panels"][1].update(targets=[]), f"{PANEL}.targets"),
        (lambda d: d["panels"][1]["targets"].append(d["panels"][1]["targets"][0]), f"{PANEL}.targets"),
        (lambda d: d["panels"][1]["targets"][0].update(expr=" "), f"{TARGET}.expr"),
        (lambda d: d["panels"][1]["targets"][0].update(expr="x{a='$nosuch'}"), f"{TARGET}.expr"),
        (lambda d: d["panels"][1].update(datasource={"type": "prometheus", "uid": "abc"}), f"{TARGET}.datasource"),
        (lambda d: d["panels"][1].pop("datasource"), f"{TARGET}.datasource"),
        (lambda d: d["templating"]["list"][1].update(query="rows(x)"), "templating.list"),
        (
            lambda d: d["panels"][0]["panels"].append({"id": 2, "type": "stat", "title": "x"}),
            "panels[0].panels[0].targets",
        ),
    ],
)
def test_one_mistake_is_found_where_it_is(paths, change, path):
    """Panels inside rows, too."""
    assert path in paths(change)


def test_without_a_source_to_choose_it_works_with_one_grafana_alone(paths):
    """Then every panel names a source that is none."""
    found = paths(lambda d: d["templating"].update(list=[]))
    assert "templating.list" in found and f"{TARGET}.datasource" in found


@pytest.mark.parametrize("text", ["{", "[]", '{"title": "a", "title": "b"}'])
def test_what_is_no_dashboard_is_said(tmp_path, text):
    """And is not taken for one without panels."""
    (tmp_path / "d.json").write_text(text)
    findings, number = check_dashboard(tmp_path / "d.json", "d.json", frozenset())
    assert len(findings) == 1 and number == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate(x[$__rate_interval])", "rate(x[5m])"),
        ("rate(x[${window}])", "rate(x[5m])"),
        ("max_over_time(x[$__range:$__interval])", "max_over_time(x[1h:1m])"),
        ('x{a=~"$job", b="${b:regex}"} > $limit', 'x{a=~"1", b="1"} > 1'),
        ("x * $__range_s", "x * 3600"),
        ('x{a=~"b$"}', 'x{a=~"b$"}'),
    ],
)
def test_variables_have_some_value(text, expected):
    """A duration where one stands."""
    assert without_variables(text) == expected
