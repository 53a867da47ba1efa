"""The numbers of a search's tables are the numbers, and W follows from them."""

import csv
from dataclasses import replace

import pytest
from made_up_search import search_results

from pipeline.report.search_columns import (
    candidate_columns,
    error_text,
    latency_text,
    ranks_by_w,
    saved,
    w_text,
)
from pipeline.report.search_costs import pareto_front_of
from pipeline.report.search_tables import marked_rows, rows, search_records, write_search_tables


def test_w_is_what_is_saved_over_the_error():
    """To the last digits, from the columns of the table."""
    results = search_results(12, eps=1)
    for point in results.points:
        if point.error is not None:
            factors = [saved(key, results, point.costs) / 100 for key in ("parameters", "operations")]
            assert factors[0] * factors[1] / point.error == pytest.approx(point.w, rel=1e-12)
    assert saved("latency_ms", results, {}) is None and saved("bits", results, {"bits": 1.0}) is None


def test_the_csv_holds_every_number(tmp_path):
    """Bit for bit, under names with their units; what a candidate has not is empty."""
    results = search_results(12, eps=2)
    write_search_tables(results, tmp_path)
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["candidate"] for line in lines] == [point.name for point in results.points]
    for point, line in zip(results.points, lines, strict=True):
        for key, value in point.costs.items():
            assert float(line[key]) == value
        assert float(line["latency_ms"]) == point.latency_ms
        assert line["latency_is"] == ("measured" if point.is_measured else "predicted")
        assert {
            int(name.rpartition("_")[2]): float(text) for name, text in line.items() if "at_step" in name and text
        } == (point.errors)
        for name, value in (("error", point.error), ("w", point.w), ("error_spread", point.error_spread)):
            assert (line[name] == "") if value is None else (float(line[name]) == value)
    assert list(lines[0])[:3] == ["candidate", "place", "state"] and list(lines[0])[-1] == "error_at_step_30"
    text = (tmp_path / "results.md").read_text()
    assert all(
        f"## {title}" in text for title in ("Answer and marked points", "Pareto front", "Assumptions", "All candidates")
    )
    assert text.count("| candidate 5 |") == 1


def test_ranks_are_of_those_that_were_tried_to_the_end():
    """Equal ones share the better; W of an earlier step is in brackets and ranks nowhere."""
    results = search_results(12, eps=1, num_given_up=2)
    tried = [point for point in results.points if point.state == "tried"]
    ranks = ranks_by_w(results)
    assert ranks[results.best] == 1 and sorted(ranks.values()) == list(range(1, len(tried) + 1))
    twins = replace(results, points=[replace(point, w=1.0) for point in results.points])
    assert set(ranks_by_w(twins).values()) == {1}
    given_up = next(point for point in results.points if point.state == "given up")
    assert w_text(given_up).startswith("(") and given_up.name not in ranks
    columns = {column.title: column for column in candidate_columns(results, pareto_front_of(results))}
    assert columns["W"].value(given_up) is None and columns["error"].value(given_up) is None
    assert error_text(given_up).endswith("at step 10")
    assert error_text(results.points[0]) == "diverged by step 10"


def test_a_predicted_time_is_marked():
    """With the interval of the model; a measured one with its quartiles."""
    points = search_results(4, eps=2).points
    assert not latency_text(points[0]).startswith("~") and latency_text(points[1]).startswith("~ ")
    assert " to " in latency_text(points[0])
    assert latency_text(replace(points[0], latency_interval_ms=None)).count(" ") == 0
    assert latency_text(replace(points[0], latency_ms=None)) == "-"


def test_what_is_marked_stands_once():
    """Answer, optimum and a name of one architecture in one line; T and strangers with costs alone."""
    results = search_results(8, tries_all=True)
    best = next(point for point in results.points if point.name == results.best)
    same = replace(results, optimum=best.name, named={"Bort": best.costs, "stranger": {"parameters": 5.0}})
    head, *lines = marked_rows(same, pareto_front_of(same))
    assert [line[0] for line in lines] == ["answer, optimum, Bort, for a sweep", "stranger", "T"]
    assert {len(line) for line in lines} == {len(head)}
    assert lines[1][head.index("parameters")] == "5" and lines[1][head.index("operations")] == "-"
    assert lines[2][head.index("size saved")] == "0.0%"


def test_costs_that_nobody_knows_have_no_column():
    """Neither times nor bytes."""
    results = search_results(4, with_times=False)
    points = [replace(point, costs={"parameters": point.costs["parameters"]}) for point in results.points]
    plain = replace(results, points=points)
    head = rows(plain.points, candidate_columns(plain, pareto_front_of(plain)))[0]
    assert not {"ms", "MiB", "operations"} & set(head) and "parameters" in head
    assert "size_bytes" not in search_records(plain, pareto_front_of(plain))[0]
