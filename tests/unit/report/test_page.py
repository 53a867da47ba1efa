"""What a sweep leaves behind: tables whose numbers can be read back, a page that needs nothing beside itself."""

import csv
from dataclasses import replace

import pytest
from PIL import Image
from written_page import Page, loads_nothing

from pipeline.console.tables import text_table
from pipeline.report.curves import Curve
from pipeline.report.page import outputs, remedy
from pipeline.report.results import Results, Row, Sample, records, table_rows, tables
from pipeline.report.results_of_papers import PUBLISHED, published_points
from pipeline.stages.sweep.report import write_report

COLUMNS = {"rouge1": "R1", "rougeLsum": "RLsum", "generated_words": "words"}
BAD = "</script><script>alert(1)</script>&"


def scores(value):
    ends = {"rougeLsum_low": value - 1.5, "rougeLsum_high": value + 1.25}
    return {"rouge1": value + 1 / 3, "rougeLsum": value, "generated_words": 7.1, **ends}


BASELINE = Row(name="first words of the source", kind="baseline", scores=scores(20.0))
TEACHER = Row(
    name="teacher (fp32)", kind="teacher", scores=scores(30.0), size_bytes=1e7, size_ratio=1.0, latency_p50_ms=50.0
)


def student(name="2-2-8 6-3", value=25.0, size=1e6, **options):
    sizes = {"size_bytes": size, "size_ratio": 1e7 / size, "paper_ratio": 9.0}
    times = {"latency_p50_ms": 40.0, "speed_ratio": 1.25, "onnx_speed_ratio": 3.5}
    return Row(**{"name": name, "scores": scores(value), "run_id": "f" * 32, **sizes, **times, **options})


FAILED = Row(name="1-1-8 1-1", scores={}, failure="non-finite loss at optimiser step 7", metrics={"loss": 9.5})


def curve(metric, name="2-2-8 6-3"):
    return Curve(metric=metric, name=name, group="", points=[(10, 3.0), (20, 2.5), (30, 2.25)])


def results(rows, **options):
    return Results(rows=rows, columns=COLUMNS, headline="rougeLsum", title="a task", split="test", **options)


FULL = results(
    [BASELINE, TEACHER, student(metrics={"rougeLsum_lost": 5.0, "gradient_norm": 0.1}), FAILED],
    facts={"task": "xsum", "metric": "rouge-score 0.1.2"},
    environment={"torch": "2.13.0"},
    curves=[curve("loss"), curve("learning_rate"), curve("loss", FAILED.name)],
    samples=[Sample(source="a source", references=["one", "two"], outputs={TEACHER.name: "two", "2-2-8 6-3": ""})],
    plan=[["stage", "steps"], ["teacher", "700"]],
    published=published_points("xsum"),
    config="seed: 28\n",
)


@pytest.fixture
def written(tmp_path):
    """Write a report: `written(results) -> (page, folder)`."""

    def write(given):
        write_report(given, tmp_path)
        return Page((tmp_path / "report.html").read_text()), tmp_path

    return write


def test_a_report_holds_everything(written):
    """All files; every section; every model, sample, setting and failure in plain words."""
    page, folder = written(FULL)
    files = {"report.html", "results.csv", "results.md", "config.yaml", "plan.txt", "samples.json"}
    pictures = {"quality_vs_size.png", "quality_vs_latency.png", "curves.png"}
    assert {path.name for path in folder.iterdir()} == files | pictures
    for name in pictures:
        assert min(Image.open(folder / name).size) > 300
    for text in ("a task", "xsum", "2.13.0", "a source", "one", "two", "700", "seed: 28", "nothing"):
        assert text in page.texts
    said = " ".join(page.texts)
    assert "1-1-8 1-1 failed: non-finite loss at optimiser step 7. Training diverged." in said
    assert "1 of 2 students finished. The teacher has RLsum 30.00 (28.50 to 31.25)." in said
    assert set(page.figures) == {"quality_vs_size", "quality_vs_latency", "curves"}
    hover = [text for trace in page.figures["quality_vs_size"]["data"] for text in trace.get("hovertext", ())]
    (mine,) = [text for text in hover if "<b>2-2-8 6-3</b>" in text]
    for part in ("25.00 (23.50 to 26.25, 95 %)", "1,000,000 bytes", "10.00x smaller", "40.0 ms"):
        assert part in mine


def test_a_page_loads_nothing(written):
    """No tag names an address; the policy allows only the scripts inside, by their digests."""
    loads_nothing(written(FULL)[0])


def test_what_models_and_people_write_is_never_markup(written):
    """Names, texts, reasons, settings: no tag comes of them, and all are shown as they are."""
    sample = Sample(source=BAD, references=[BAD], outputs={BAD: BAD})
    rows = [TEACHER, student(BAD), replace(FAILED, failure=BAD)]
    curves = [curve(f"{BAD}_loss", BAD)]
    odd = {"facts": {BAD: BAD}, "environment": {BAD: BAD}, "plan": [[BAD], [BAD]], "config": BAD}
    page, _ = written(results(rows, curves=curves, samples=[sample], **odd))
    plain, _ = written(results([TEACHER, student(), FAILED], curves=[curve("odd_loss")], samples=[sample], **odd))
    scripts = [sum(tag == "script" for tag, _ in read.tags) for read in (page, plain)]
    assert scripts[0] == scripts[1]
    assert sum(BAD in text for text in page.texts) >= 10
    labels = [t for figure in page.figures.values() for trace in figure["data"] for t in trace.get("text") or ()]
    assert not any("<script" in text for text in labels)


@pytest.mark.parametrize(
    ("rows", "figures"),
    [
        ([BASELINE, TEACHER, FAILED], {"quality_vs_size", "quality_vs_latency"}),
        ([BASELINE, FAILED], set()),
        ([BASELINE, replace(TEACHER, latency_p50_ms=None), student(latency_p50_ms=None)], {"quality_vs_size"}),
        ([replace(TEACHER, scores={}), FAILED], set()),
    ],
    ids=["no student finished", "no teacher", "no times", "no scores"],
)
def test_what_is_missing_leaves_its_plot_out(written, rows, figures):
    """Without finished students, times, scores or curves there still is a page, and no empty plot on it."""
    page, folder = written(results(rows))
    assert set(page.figures) == figures
    assert {path.stem for path in folder.glob("*.png")} == figures
    assert not {"samples.json", "plan.txt", "curves.png"} & {path.name for path in folder.iterdir()}


def test_the_numbers_of_the_csv_are_the_numbers(written):
    """Bit for bit, under names with their units; a row a model, with its run; what a model has not is empty."""
    _, folder = written(FULL)
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["model"] for line in lines] == [row.name for row in FULL.rows]
    mine = lines[2]
    assert (mine["run_id"], mine["kind"], mine["failure"]) == ("f" * 32, "student", "")
    for record, line in zip(records(FULL), lines, strict=True):
        for name, value in line.items():
            assert value == "" or isinstance(record[name], str) or float(value) == record[name]
    assert float(mine["rouge1_percent"]) == FULL.rows[2].scores["rouge1"]
    times, scored = ("onnx_speed_ratio", "latency_p50_ms"), ("rougeLsum_low_percent", "rougeLsum_lost_percent")
    for name in ("size_bytes", *times, *scored, "generated_words"):
        assert mine[name]
    assert (lines[3]["failure"], lines[3]["loss"], lines[3]["rouge1_percent"]) == (FAILED.failure, "9.5", "")


def test_the_console_shows_what_failed():
    """One line a model, the reason at its end; every line as wide as its columns."""
    lines = table_rows(FULL)
    assert lines[-1] == ["1-1-8 1-1", *["-"] * 9, "FAILED: non-finite loss at optimiser step 7"]
    assert len({len(line) for line in lines}) == 1
    assert text_table(lines).endswith("step 7")


def test_a_student_that_was_given_up_is_no_failure_and_no_result(written):
    """It has a section of its own with the reason; it is in no plot and not counted as finished."""
    reason = "stopped after 2 of 4 steps by median: validation loss 3, the best of 2 had 2"
    given = results([TEACHER, student("8-8-8 6-3", 26.0), Row(name="8-8-8 6-3 lr=1.0", scores={}, stopped=reason)])
    text = " ".join(" ".join(written(given)[0].texts).split())
    assert reason in text and "1 of 2 students finished" in text and "1 were given up early" in text
    assert table_rows(given)[-1][-1] == reason
    assert [record["stopped"] for record in records(given)] == ["", "", reason]
    assert not given.failed


def test_seeds_are_one_row_of_means_and_one_point(written):
    """Mean and standard deviation; the front knows their mean, not the luckiest seed; one look for all."""
    seeds = [student(f"2-2-8 6-3 seed={i}", 24.0 + i, group="2-2-8 6-3#x") for i in (1, 2)]
    other = student("4-4-8 6-3", 25.75, size=1e6)  # between the mean, 25.5, and the better seed
    given = results([TEACHER, *seeds, other])
    assert tables(given)[1][1] == ["2-2-8 6-3", "25.83 ± 0.71", "25.50 ± 0.71", "7.10 ± 0.00", "0.954", "10.00x", "2"]
    page, _ = written(given)
    drawn = [trace for trace in page.figures["quality_vs_size"]["data"] if "meta" in trace and "marker" in trace]
    mine = [trace for trace in drawn if trace["meta"]["key"] == "2-2-8 6-3#x"]
    assert sorted(len(trace["x"]) for trace in mine) == [1, 2]
    assert {trace["marker"]["color"] for trace in mine} != {trace["marker"]["color"] for trace in drawn}
    (mean,) = [trace for trace in mine if trace["x"] == [1e6 / 2**20]]
    assert mean["error_y"]["array"] == mean["error_y"]["arrayminus"] == [pytest.approx(0.5**0.5)]
    front = page.figures["quality_vs_size"]["data"][0]
    assert front["y"] == [25.75, 30.0]


def test_published_results_belong_to_their_task(written):
    """Other tasks have none; they have a table of their own, and stand neither in ours nor on the front."""
    assert published_points("docstrings") == ()
    near = student("8-8-8 6-3", 34.0, size=140 * 2**20)
    page, folder = written(results([near], published=published_points("xsum")))
    said = " ".join(page.texts)
    assert "Published results on this task" in said and "138.1 MB" in said and "2203.11239" in said
    traces = page.figures["quality_vs_size"]["data"]
    assert traces[0]["y"] == [34.0]
    assert any("8-8-8" in trace.get("text", ()) for trace in traces)
    assert "138.1" not in (folder / "results.csv").read_text() + (folder / "results.md").read_text()
    far, _ = written(replace(FULL, published=published_points("xsum")))
    assert not any("8-8-8" in trace.get("text", ()) for trace in far.figures["quality_vs_size"]["data"])


def test_published_sizes_are_those_of_their_models():
    """A printed MB of BART-base is 2**20 bytes, a printed GB of mBART-large 10**9: four bytes a weight give both."""
    for task, num_weights in (("xsum", 139_420_416), ("cnn_dailymail", 139_420_416), ("wmt16_en_ro", 610_851_840)):
        teacher = PUBLISHED[task][0]
        assert teacher.size_bytes == pytest.approx(4 * num_weights, rel=2e-3)


def test_equal_texts_stand_together():
    """A text once with all who wrote it; whether it is a reference is said."""
    sample = Sample(source="s", references=["yes"], outputs={"teacher": "yes", "a": "no", "b": "yes"})
    assert outputs(sample) == [("yes", ["teacher", "b"], True), ("no", ["a"], False)]


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("gradient norm is nan at optimiser step 3", "lower learning rate"),
        ("RuntimeError: CUDA out of memory", "micro_batch_tokens"),
        ("not finished", "submitted again"),
        ("something else", ""),
    ],
)
def test_a_failure_comes_with_advice(reason, advice):
    """Where one is known."""
    assert advice in remedy(reason)
    assert bool(advice) == bool(remedy(reason))
