"""The page of a search for bits holds the front and every module, loads nothing and is right whatever is missing."""

import math
from dataclasses import replace

import pytest
from PIL import Image
from written_page import Page, loads_nothing

from pipeline.report.bits_page import write_bits_report
from pipeline.report.bits_results import BitsPoint, BitsResults, ModuleBits

BAD = "</script><script>alert(1)</script>&"
RESULTS = BitsResults(
    title="a student",
    front=[BitsPoint(name=f"front {n}", size_bytes=20_000 + 3_000 * n, loss=3 - 0.2 * n) for n in range(4)],
    answer=BitsPoint(name="2-8-8 2-1 mixed", size_bytes=25_000, loss=2.5),
    uniform=BitsPoint(name="2-2-8", size_bytes=20_000, loss=3.25),
    budget_bytes=26_000,
    loss_before=2.25,
    words="errors are taken to add up",
    modules=[
        ModuleBits(modules=["shared"], bits=8, num_bytes=6_400, rises={2: 0.75, 8: -0.0125}),
        ModuleBits(modules=["one.q", "one.k"], bits=2, num_bytes=1_024, rises={2: 0.0625, 8: math.inf}),
    ],
    facts={"search": "ab12cd34"},
    environment={"torch": "2.13.0"},
    config="seed: 28\n",
)


@pytest.fixture
def written(tmp_path):
    """Write a report: `written(results) -> (page, folder)`."""

    def write(given):
        write_bits_report(given, tmp_path)
        return Page((tmp_path / "report.html").read_text()), tmp_path

    return write


def test_a_report_holds_everything(written):
    """The front with the answer and the uniform bits, and bits, bytes and rises of every group of modules."""
    page, folder = written(RESULTS)
    assert {path.name for path in folder.iterdir()} == {"report.html", "config.yaml", "loss_vs_size.png"}
    assert min(Image.open(folder / "loss_vs_size.png").size) > 300
    said = " ".join(page.texts)
    for text in ("front 3", "29,000", "2-8-8 2-1 mixed", "2-2-8", "26,000", "2.2500 in full precision", "ab12cd34"):
        assert text in said
    assert "shared 8 6,400 -0.0125 +0.7500 -0.0125" in said
    assert "one.q and 1 more 2 1,024 +0.0625 +0.0625 - " in said  # where the model broke there is no number
    assert {"Errors are taken to add up.", "seed: 28", "2.13.0"} <= set(page.texts)


def test_a_page_loads_nothing(written):
    """As those of other jobs."""
    loads_nothing(written(RESULTS)[0])


def test_the_figure_shows_what_the_tables_say(written):
    """Every point of the front, the answer, the best of uniform bits; the budget is a line."""
    (figure,) = written(RESULTS)[0].figures.values()
    drawn = {trace["name"]: list(zip(trace["x"], trace["y"], strict=True)) for trace in figure["data"]}
    points = {"front": RESULTS.front, "best of uniform bits": [RESULTS.uniform], "answer": [RESULTS.answer]}
    assert drawn == {name: [(one.size_bytes / 2**20, one.loss) for one in ones] for name, ones in points.items()}
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [26_000 / 2**20]


@pytest.mark.parametrize(
    "results",
    [
        replace(RESULTS, uniform=None, facts={}, environment={}, config=""),
        replace(RESULTS, front=RESULTS.front[:1], modules=RESULTS.modules[:1]),
    ],
    ids=["nothing said", "one of each"],
)
def test_what_is_missing_leaves_a_page(written, results):
    """Without a word about it but that there is none."""
    page, _ = written(results)
    said = " ".join(page.texts)
    assert ("No uniform bits fit" in said) is (results.uniform is None)
    assert not any(word in said.split() for word in ("nan", "inf", "None", "undefined"))


def test_what_people_write_is_never_markup(written):
    """Names, facts, settings: no tag comes of them."""
    names = {"answer": replace(RESULTS.answer, name=BAD), "modules": [replace(RESULTS.modules[0], modules=[BAD])]}
    texts = {"title": BAD, "facts": {BAD: BAD}, "environment": {BAD: BAD}, "config": BAD}
    page, _ = written(replace(RESULTS, **names, **texts))
    num_scripts = sum(tag == "script" for tag, _ in page.tags)
    assert num_scripts == sum(tag == "script" for tag, _ in written(RESULTS)[0].tags)
    assert sum(BAD in text for text in page.texts) >= 8
    hovers = [text for figure in page.figures.values() for trace in figure["data"] for text in trace["hovertext"]]
    assert hovers and not any("<script" in text for text in hovers)
