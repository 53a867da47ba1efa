"""The page of tables and curves: everything in one file, whatever the texts hold."""

import dataclasses

import pytest

from pipeline.report.curves import Curve
from pipeline.report.plain_page import PlainReport, Section, write_plain_report

CURVES = [
    Curve(metric="validation_loss", name=name, group="", points=[(10, 3.0), (20, last)])
    for name, last in (("distilled", 2.0), ("alone", 2.5))
]
REPORT = PlainReport(
    title="texts: a small model",
    summary=["It knows 20 %.", "<b>no markup</b>"],
    facts={"seed": "28"},
    sections=[
        Section(title="Results", lines=[["model", "loss"], ["alone", "2.50"]], note="Of held-out text."),
        Section(title="Added examples", lines=[["text"], ["<script>alert(1)</script>"]], kind="words"),
    ],
    curves=CURVES,
    environment={"CPU": "one"},
    config="seed: 28\n",
)


def test_a_page_holds_its_tables_and_curves_and_loads_nothing(tmp_path):
    """Texts stay texts; the picture that stands for the curves lies beside the page and in it."""
    write_plain_report(REPORT, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "results.md", "config.yaml", "curves.png"}
    page = (tmp_path / "report.html").read_text()
    assert "&lt;script&gt;alert(1)" in page and "<script>alert(1)" not in page and "&lt;b&gt;no markup" in page
    assert all(part in page for part in ('id="added-examples"', 'id="training"', "default-src", "seed: 28"))
    assert page.count('type="checkbox" data-key="') == len(CURVES)
    assert not any(address in page.split("<script>")[0] for address in ('src="http', 'href="http'))
    markdown = (tmp_path / "results.md").read_text()
    assert "## Results\n\n| model | loss |" in markdown and "Of held-out text." in markdown


@pytest.mark.parametrize("curves", [[], [dataclasses.replace(CURVES[0], points=[(10, 3.0)])]])
def test_without_a_course_nothing_is_drawn(tmp_path, curves):
    """One point is no curve, and a page without curves needs no library."""
    write_plain_report(dataclasses.replace(REPORT, curves=curves), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert not (tmp_path / "curves.png").exists()
    assert 'id="training"' not in page and len(page) < 100_000
