"""The page of a search holds everything, loads nothing and is right whatever is missing."""

from dataclasses import replace

import pytest
from made_up_search import search_results
from PIL import Image
from written_page import Page, loads_nothing

from pipeline.report.search_looks import LOOKS
from pipeline.report.search_page import write_search_report

BAD = "</script><script>alert(1)</script>&"
COSTS, COURSE = {"error_vs_size", "error_vs_latency"}, {"errors_by_step", "w_by_order"}


@pytest.fixture
def written(tmp_path):
    """Write a report: `written(results) -> (page, folder)`."""

    def write(given):
        write_search_report(given, tmp_path)
        return Page((tmp_path / "report.html").read_text()), tmp_path

    return write


def test_a_report_holds_everything(written):
    """All files, every section, every candidate, assumption and setting in plain words."""
    results = search_results(12, tries_all=True, limits={"max_mib": 0.02})
    page, folder = written(results)
    pictures = {f"{name}.png" for name in COSTS | COURSE}
    assert {path.name for path in folder.iterdir()} == {
        "report.html",
        "results.csv",
        "results.md",
        "config.yaml",
    } | pictures
    for name in pictures:
        assert min(Image.open(folder / name).size) > 300
    said = " ".join(page.texts)
    assert "a part of T's parameters and operations" in said and "Tinted: what the limit excludes." in said
    for text in ("a space", "ab12cd34", "2.13.0", "seed: 28", "at most 0.0200 MiB", "no candidate", "T", "Bort"):
        assert text in said
    for title in (
        "Error and cost",
        "Pareto front",
        "Answer and marked points",
        "Course of the search",
        "Guarantee",
        "All candidates",
    ):
        assert page.texts.count(title) == 2  # in the navigation, and above its section
    assert all(point.name in page.texts for point in results.points)
    assert all(one.name in page.texts and one.evidence in page.texts for one in results.guarantee.assumptions)
    assert set(page.figures) == COSTS | COURSE


def test_a_page_loads_nothing(written):
    """As that of a sweep."""
    loads_nothing(written(search_results())[0])


def test_every_group_that_is_drawn_has_its_box(written):
    """And no other; a trace of candidates belongs to a group."""
    page, _ = written(search_results(12, eps=2))
    boxes = {attributes["data-key"] for tag, attributes in page.tags if tag == "input"}
    groups = {trace["meta"]["key"] for figure in page.figures.values() for trace in figure["data"]}
    assert (
        boxes == groups == {"answer", "chosen", "front", "given up", "diverged", "not tried"} | (boxes & {"dominated"})
    )
    assert boxes <= set(LOOKS)


def test_what_people_write_is_never_markup(written):
    """Names, reasons, settings: no tag comes of them."""
    plain = search_results(8, eps=1)
    points = [replace(point, name=f"{point.name} {BAD}") for point in plain.points]
    names = {"best": f"{plain.best} {BAD}", "chosen": [f"{plain.best} {BAD}"], "named": {BAD: {"parameters": 1e5}}}
    texts = {
        "title": BAD,
        "rule": BAD,
        "error_name": BAD,
        "facts": {BAD: BAD},
        "environment": {BAD: BAD},
        "config": BAD,
    }
    page, folder = written(replace(plain, points=points, **names, **texts))
    num_scripts = sum(tag == "script" for tag, _ in page.tags)
    assert sum(BAD in text for text in page.texts) >= 20
    assert num_scripts == sum(tag == "script" for tag, _ in written(plain)[0].tags)
    drawn = [t for figure in page.figures.values() for trace in figure["data"] for t in trace.get("hovertext") or ()]
    assert drawn and not any("<script" in text for text in drawn)
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("results", "figures"),
    [
        (search_results(1, eps=1, num_diverged=0, num_given_up=0), COSTS | COURSE),
        (search_results(8, with_times=False), {"error_vs_size", "error_vs_operations"} | COURSE),
        (search_results(8, eps=1, num_diverged=7, num_given_up=0), COSTS | COURSE),
        (search_results(8, eps=8, num_diverged=0, num_given_up=0), COSTS | COURSE),
        (
            search_results(8, facts={}, environment={}, config="", named={}, chosen=[], latency_model=None),
            COSTS | COURSE,
        ),
    ],
    ids=["one candidate", "no times", "all diverged but one", "one was tried", "nothing said"],
)
def test_what_is_missing_leaves_a_page(written, results, figures):
    """Only plots there is something to draw in, each with its picture; the answer is on the front of one."""
    page, folder = written(results)
    assert set(page.figures) == {path.stem for path in folder.glob("*.png")} == figures
    said = " ".join(page.texts)
    assert f"Answer: {results.best}" in said and "on the Pareto front of" in said
    assert not any(word in said.split() for word in ("nan", "None", "undefined"))


def test_three_hundred_candidates_are_all_in_the_table(written):
    """The page stays small enough to be opened: plotly's five megabytes and two more at most."""
    results = search_results(300, eps=1)
    page, folder = written(results)
    assert sum(text.startswith("candidate ") for text in page.texts) >= 300
    assert (folder / "report.html").stat().st_size < 7_500_000
