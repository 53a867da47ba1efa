"""Nights on a small task: what is decided when, what becomes of the aliases, and what interrupted nights leave."""

import json
import random

import pytest
from mlflow import MlflowClient
from small_task import LENGTHS, SIZES, WORDS

from pipeline.retraining.decisions import Decision
from pipeline.retraining.verdict import Gate, Verdict
from pipeline.serving import promotion
from pipeline.stages.retrain import job as retrain_job
from pipeline.stages.retrain import promote as promote_module
from pipeline.stages.retrain import verdict as verdict_module
from pipeline.stages.retrain.ledger import Ledger

SMALL = [*LENGTHS, *SIZES, "cluster=process", "gates.min_parity=0"]
SMALL += ["sweep.students=[{scheme: 8-8-8, depth: 6-3}]", "data_checks.min_examples=10", "data_checks.max_volume=20"]
SMALL += ["data_checks.max_length_shift=1", "data_checks.max_letter_shift=1", "data_checks.max_commonest=1"]
SMALL += ["retrain.timing_examples=1", "retrain.timing_rounds=1", "retrain.alignment_examples=0"]
SMALL += ["retrain.keep_nights=1", "teacher.learning_rate=0", "teacher.max_steps=1", "evaluation.num_samples=0"]


def examples(number, seed=0):
    """Sentences of their own words and names, titled by their beginning."""
    draw, rows = random.Random(seed), []
    for _ in range(number):
        words = [f"{draw.choice(WORDS)}{draw.randint(100, 999)}", *draw.choices(WORDS, k=draw.randint(4, 9))]
        rows.append({"source": " ".join(words), "target": " ".join(words[:3])})
    return rows


@pytest.fixture
def night(job, tmp_path, monkeypatch):
    """A night: `night(rows, *settings, verdict=...)` -> (exit code, document, stderr)."""
    for name, rows in (("validation", examples(8, 1)), ("test", examples(10, 2))):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    files = ", ".join(f"{split}: {split}.jsonl" for split in ("train", "validation", "test"))
    places = [
        f"task.corpus={{kind: files, files: {{{files}}}}}",
        f"data.root={tmp_path}",
        f"storage.path={tmp_path / 'runs'}",
    ]
    # Serving has tests of its own, and takes seconds.
    monkeypatch.setattr(promote_module, "probe", lambda *_: None)

    def call(rows, *settings, verdict=None):
        (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
        if verdict is not None:
            gate = Gate(
                name="made up", passed=verdict is Decision.PROMOTED, measured=1.0, allowed=1.0, sentence="Made up."
            )
            monkeypatch.setattr(
                verdict_module, "decide", lambda *_: Verdict(decision=verdict, gates=(gate,), alarms=())
            )
        code, out, err = job("retrain", retrain_job.run, *SMALL, *places, *settings, base=False)
        return code, json.loads(out.splitlines()[-1]), err

    return call


@pytest.fixture
def ledger(tmp_path):
    """The ledger as it lies there now."""
    return lambda: Ledger(tmp_path / "runs" / "retrain" / "retrained")


@pytest.fixture
def aliases(tmp_path):
    """Where the aliases point now."""

    def read():
        client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
        found = dict(client.get_registered_model("retrained").aliases)
        return {name: str(found[name]) for name in (promotion.CHAMPION, promotion.PREVIOUS) if name in found}

    return read


def decisions(ledger):
    return [(line.event, line.decision) for line in ledger().lines]


def test_nights_from_the_first_champion_to_a_rollback(night, ledger, aliases, tmp_path):
    """Nothing new, a better one, data that slipped, one that is kept, the way back; each with its line and its run."""
    first, more = examples(60), examples(120)
    _, document, err = night(first)
    assert document["decision"] == "PROMOTED", err
    assert (document["champion"], aliases()) == ("1", {"champion": "1"})
    assert night(first)[1]["decision"] == "NO_CHANGE"
    assert night(more, verdict=Decision.PROMOTED)[1]["champion"] == "2"
    assert aliases() == {"champion": "2", "previous": "1"}
    new = more[:120] + [
        {**row, "target": other["target"]}
        for row, other in zip(examples(60, 5), examples(60, 5)[1:] + examples(1), strict=True)
    ]
    _, document, _ = night(new)
    assert document["decision"] == "REFUSED" and any("alignment" in reason for reason in document["reasons"])
    frozen = ledger().crowned.frozen
    refused, num_uses = ledger().lines[-1], ledger().num_frozen_uses(frozen)
    assert num_uses == 1 and refused.details["drift"]["champion_quality"] == refused.details["champion_newest"]
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    run = client.get_run(document["run_id"])
    assert run.data.metrics["drift_champion_quality"] == refused.details["champion_newest"]
    assert "report/drift.json" in {one.path for one in client.list_artifacts(run.info.run_id, "report")}
    assert "no column 'target'" in night([{"source": "a"}] * 20)[1]["reasons"][0]
    assert "drift" not in ledger().lines[-1].details
    assert night([*more, *examples(20, 6)], verdict=Decision.KEPT)[1]["reasons"] == ["Made up."]
    assert ledger().lines[-1].details["drift"]["examples"] == 16 and ledger().num_frozen_uses(frozen) == 2
    assert aliases() == {"champion": "2", "previous": "1"}
    _, document, _ = night(more, "rollback=true")
    assert (document["decision"], document["champion"], aliases()) == (
        "PROMOTED",
        "1",
        {"champion": "1", "previous": "2"},
    )
    assert decisions(ledger) == [
        *(("night", "PROMOTED"), ("promotion", "PROMOTED"), ("night", "NO_CHANGE"), ("night", "PROMOTED")),
        *(("promotion", "PROMOTED"), ("night", "REFUSED"), ("night", "REFUSED"), ("night", "KEPT")),
        *(("rollback", "PROMOTED"), ("promotion", "PROMOTED")),
    ]
    page = (tmp_path / "runs" / "retrain" / "retrained" / "report" / "report.html").read_text()
    assert "by hand: version 1 shall be the champion again" in page
    runs = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}").search_runs(["1"], "tags.`dq.kind` = 'night'")
    assert len(runs) == 7


def test_a_night_is_worked_through_once(night, ledger, tmp_path):
    """By the same data, settings and champion; `force` works through it again and finds what is done.

    Where nobody is configured the students are as the champion.
    """
    rows = examples(60)
    night(rows)
    more = [*rows, *examples(40, 3)]
    _, document, err = night(more, "sweep.students=[]", verdict=Decision.KEPT)
    assert document["decision"] == "KEPT" and "students: 8-8-8 6-3, as the champion, version 1" in err
    assert "of the settings" in ledger().lines[0].details["students_from"]
    assert "as the champion" in ledger().lines[-1].details["students_from"]
    assert night(more, "sweep.students=[]")[1]["decision"] == "NO_CHANGE"
    _, document, err = night(more, "sweep.students=[]", "force=true")
    assert document["decision"] == "KEPT" and "found finished" in err
    assert len(ledger().lines) == 5
    assert "tidied" not in err and num_folders(tmp_path, "teachers") == num_folders(tmp_path, "sweeps") == 2
    _, document, err = night([*more, *examples(20, 7)], verdict=Decision.KEPT)
    assert document["decision"] == "KEPT" and "bytes of old nights freed (sweep " in err and "teacher " in err
    assert num_folders(tmp_path, "teachers") == num_folders(tmp_path, "sweeps") == 2  # the champion's, and tonight's
    assert num_folders(tmp_path, "retrain/retrained/nights") == 1


def num_folders(tmp_path, name):
    return sum(path.is_dir() for path in (tmp_path / "runs" / name).iterdir())
