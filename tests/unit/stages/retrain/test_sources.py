"""Files that change under a night: what changes while it reads is refused, what changes later is tomorrow's."""

import json
import os

import datasets
import pytest

from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.load import load_config
from pipeline.retraining.decisions import Decision
from pipeline.stages.retrain import night as night_module
from pipeline.stages.retrain.ledger import Ledger
from pipeline.stages.retrain.night import Night, work_through
from pipeline.stages.retrain.outcome import Outcome
from pipeline.stages.retrain.sources import Sources, with_sources
from pipeline.storage.layout import Storage

ROWS = [{"source": f"text number {number}", "target": f"title {number}"} for number in range(9)]


@pytest.fixture
def config(tmp_path):
    """A job whose data are three files."""
    for split in ("train", "validation", "test"):
        write(tmp_path / f"{split}.jsonl", ROWS)
    files = ", ".join(f"{split}: {split}.jsonl" for split in ("train", "validation", "test"))
    return job(tmp_path, f"task.corpus={{kind: files, files: {{{files}}}}}")


def job(folder, *words):
    return load_config(RetrainJob, ["cluster=process", f"data.root={folder}", f"storage.path={folder}", *words])


def write(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def same_times(path, change):
    """A change that keeps size and time, as some writers do."""
    before = path.stat()
    change(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path):
    path.with_suffix(".new").write_bytes(path.read_bytes())
    path.with_suffix(".new").replace(path)


CHANGES = {
    "appended": lambda path: write(path, [*ROWS, ROWS[0]]),
    "other bytes, same size and time": lambda path: same_times(path, lambda one: write(one, ROWS[::-1])),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_changes_is_named_whenever_it_does(config, tmp_path, name):
    """While it is read and afterwards; the others are not."""
    sources = Sources(config)
    assert sources.changed_while_read() == [] == sources.changed_since()
    CHANGES[name](tmp_path / "train.jsonl")
    assert sources.changed_while_read() == [str(tmp_path / "train.jsonl")] == sources.changed_since()


def test_an_equal_file_in_its_place_is_a_change_only_while_it_is_read(config, tmp_path):
    """What was read then may have been a third; afterwards equal bytes are equal data."""
    sources = Sources(config)
    replaced(tmp_path / "test.jsonl")
    assert sources.changed_while_read() == [str(tmp_path / "test.jsonl")] and sources.changed_since() == []
    sources = Sources(config)
    os.utime(tmp_path / "test.jsonl", (1, 1))
    assert len(sources.changed_while_read()) == 1 and sources.changed_since() == []


def test_folders_are_all_their_files_and_other_kinds_have_none(tmp_path, config):
    """Also one that is added; a split that is taken from another has no file; who reads says what is not there."""
    rows = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict(train=rows, validation=rows, test=rows).save_to_disk(tmp_path / "saved")
    sources = Sources(job(tmp_path, f"task.corpus={{kind: hub, name: '{tmp_path / 'saved'}'}}"))
    assert len(sources.digests) > 6
    (tmp_path / "saved" / "train" / "more.arrow").write_text("x")
    assert sources.changed_since() == [str(tmp_path / "saved" / "train" / "more.arrow")]
    assert Sources(job(tmp_path, "task=docstrings")).digests == {}
    assert Sources(job(tmp_path, "task.corpus={kind: files, files: {train: no.jsonl}}")).digests == {}
    taken = "task.corpus={kind: files, files: {train: train.jsonl, validation: validation.jsonl, test: test.jsonl}}"
    assert len(Sources(job(tmp_path, taken, "data.split_test=0.5")).digests) == 2


@pytest.fixture
def night(config, tmp_path, tracker):
    """A night up to its own reading: `night()` -> outcome."""

    def call():
        told = {"config": config, "storage": Storage(root=tmp_path), "folder": tmp_path / "retrain", "tracker": tracker}
        return work_through(Night(ledger=Ledger(tmp_path / "retrain"), note=lambda **_: None, **told))

    return call


@pytest.mark.parametrize("is_whole", [True, False])
def test_what_changes_while_a_night_reads_is_refused_by_name(night, tmp_path, monkeypatch, is_whole):
    """Whether it can be read or not; it settles nothing, as the same file may be whole in the next night."""
    read = night_module.read_corpus

    def changing(*arguments):
        corpus = read(*arguments)
        write(tmp_path / "train.jsonl", ROWS[:5])
        if not is_whole:
            (tmp_path / "train.jsonl").write_text('{"sour')
            read(*arguments)
        return corpus

    monkeypatch.setattr(night_module, "read_corpus", changing)
    outcome = night()
    assert (outcome.decision, outcome.data) == (Decision.REFUSED, "")
    assert f"{tmp_path / 'train.jsonl'} has changed while the night was reading" in outcome.reasons[0]
    assert len(outcome.reasons) == 1 + (not is_whole)


def test_what_changes_later_is_said_and_changes_no_decision(config, tmp_path, night, monkeypatch):
    """With the digests of what was read."""

    def refused(*_):
        write(tmp_path / "train.jsonl", ROWS[:5])
        return "another test set"

    monkeypatch.setattr(night_module, "frozen_moved", refused)
    sources = Sources(config)
    outcome = night()
    assert outcome.decision is Decision.REFUSED and outcome.reasons[0] == "another test set" and outcome.data
    assert "has changed since the night has read" in outcome.reasons[1]
    assert outcome.details["changed_since"] == [str(tmp_path / "train.jsonl")]
    assert outcome.details["sources"] == sources.digests


def test_a_night_whose_files_stand_still_says_nothing(config, tmp_path):
    """But their digests."""
    found = with_sources(Outcome(decision=Decision.KEPT, reasons=["a"]), Sources(config))
    assert found.reasons == ["a"] and found.details["changed_since"] == [] and len(found.details["sources"]) == 3
    nothing = Outcome(decision=Decision.KEPT, reasons=["a"])
    assert with_sources(nothing, Sources(job(tmp_path, "task=docstrings"))) is nothing
