"""Training-free scores of a search: in its table for whoever judges them, and in nothing that decides."""

import json
from pathlib import Path

import pytest

from pipeline.evaluation.training_free import SCORES
from pipeline.search.table_file import read_tables
from pipeline.stages.search.job import run
from pipeline.stages.search.measure_scores import FILE

MODELS = "search.models={encoder_layers: [1], decoder_layers: [1], heads: [2], hidden: [16, 24], intermediate: [16]}"
STUDENTS = "search.students={encoder_layers: [2, 1], decoder_layers: [1], weight_bits: [8, 2], embedding_bits: [8]}"
STEPS = ("search.steps=[1]", "search.eps=1", "search.size=parameters", "student.warmup_fraction=0.0")


@pytest.mark.parametrize(
    "space", [["search.kind=models", MODELS], ["search.kind=models", MODELS, "search.distil=false"], [STUDENTS]]
)
def test_scores_stand_in_the_table_and_change_no_answer(job, tmp_path, space):
    """Of every candidate and of every seed; added to a finished search they train nothing again."""
    words = (*space, *STEPS, "search.seeds=2", f"storage.path={tmp_path}")
    code, out, err = job("ose_search", run, *words)
    assert code == 0, err
    plain = json.loads(out.splitlines()[-1])
    code, out, err = job("ose_search", run, *words, "search.training_free=true")
    assert code == 0, err
    assert " 0 to be trained" in err
    scored = json.loads(out.splitlines()[-1])
    assert {name: scored[name] for name in ("best", "front")} == {name: plain[name] for name in ("best", "front")}
    tables = read_tables(Path(scored["report"]) / "table.jsonl")
    assert [set(table.scores) for table in tables] == [set(SCORES)] * 2
    assert all(len({*table.scores["gradient_norm"]}) == len(table.scores["gradient_norm"]) for table in tables)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob(FILE)}
    code, _, err = job("ose_search", run, *words, "search.training_free=true")
    assert code == 0 and {path: path.stat().st_mtime_ns for path in tmp_path.rglob(FILE)} == written, err
