"""`infra/check/promql.py`: expressions parse, and what they name exists."""

import importlib.util

import pytest

from infra.check.promql import problems_of, read_metric_names

needs_parser = pytest.mark.skipif(
    importlib.util.find_spec("promql_parser") is None, reason="promql-parser is in .venv-infra, not here"
)
KNOWN = frozenset({"a_total", "b", "rule:x"})


@needs_parser
@pytest.mark.parametrize(
    "text",
    [
        "a_total",
        "sum by (job) (rate(a_total[5m])) > 0",
        "absent_over_time(b[48h])",
        '{__name__="b", x="y"}',
        "b / on (x) group_left a_total unless up == 0",
        "time() - b > 48 * 3600",
        "max_over_time(rule:x[1d:5m])",
    ],
)
def test_what_prometheus_takes_is_taken(text):
    """And the metrics of Prometheus itself are known."""
    assert list(problems_of(text, KNOWN)) == []


@needs_parser
@pytest.mark.parametrize("text", ["rate(a_total)", "sum(b", "nosuch(b)", "b[5 minutes]", "", "b and"])
def test_what_it_refuses_is_refused(text):
    """Types of arguments count, too."""
    assert [check for check, _ in problems_of(text, KNOWN)] == ["promql"]


@needs_parser
@pytest.mark.parametrize("text", ["c", "rate(c[5m]) + b", '{__name__="c"}', '{x="y"}', '{__name__=~"a.*"}'])
def test_a_metric_that_nobody_makes_is_said(text):
    """Its panel would stay empty, and its alert would never come."""
    assert [check for check, _ in problems_of(text, KNOWN)] == ["law/metric"]


def test_names_are_read_a_line_each(tmp_path):
    """With comments; a line that is no name is an error, not a metric."""
    (tmp_path / "m.txt").write_text("# all\na_total  # of jobs\n\n  b\n")
    assert read_metric_names(tmp_path / "m.txt") == {"a_total", "b"}
    (tmp_path / "m.txt").write_text("a-b\n")
    with pytest.raises(ValueError, match="'a-b' is no name"):
        read_metric_names(tmp_path / "m.txt")
