"""What is new tonight: told from what was accepted, held out once, trained on when something newer is held out."""

import json

import pytest

from pipeline.config.errors import UserError
from pipeline.config.jobs.retrain import RetrainJob
from pipeline.config.load import load_config
from pipeline.data.corpora import column_of
from pipeline.stages.retrain.data import (
    Accepted,
    accepted_of,
    identities_of,
    keep_accepted,
    part_data,
    read_corpus,
    sweep_of,
    write_night,
)
from pipeline.storage.layout import Storage


def rows(*numbers):
    return [{"source": f"text number {number}", "target": f"title {number}"} for number in numbers]


@pytest.fixture
def read(tmp_path):
    """Tonight's data: `read(rows, accepted, *settings)`."""

    def call(train, accepted=None, *settings):
        for name, part in (("train", train), ("validation", rows(901, 902)), ("test", rows(801, 802, 803))):
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, part)))
        files = ", ".join(f"{name}: {name}.jsonl" for name in ("train", "validation", "test"))
        words = [f"task.corpus={{kind: files, files: {{{files}}}}}", f"data.root={tmp_path}", "retrain.held_out=0.3"]
        config = load_config(RetrainJob, [*words, *settings])
        return config, part_data(config, read_corpus(config, Storage(root=tmp_path / "runs")), accepted)

    return call


def parts(data):
    return tuple(identities_of(part) for part in (data.train, data.new, data.newest))


def test_a_part_of_what_is_new_is_held_out_and_trained_on_the_night_after(read):
    """What was held out once is no secret any more as soon as something newer is."""
    _, first = read(rows(*range(40)))
    train, new, newest = parts(first)
    assert train | newest == identities_of(rows(*range(40))) and not train & newest
    assert new == train and 4 < len(newest) < 20
    accepted = Accepted(rows=first.train, newest=first.newest)
    _, second = read(rows(*range(80)), accepted)
    train, new, newest = parts(second)
    assert newest and not newest & identities_of(rows(*range(40)))
    assert identities_of(rows(*range(40))) <= train and new == train - identities_of(rows(*range(40)))


def test_where_nothing_is_new_the_same_are_held_out_again(read):
    """Whoever forces a night has both models scored on what neither was trained on."""
    _, first = read(rows(*range(40)))
    accepted = Accepted(rows=first.train, newest=first.newest)
    _, again = read(rows(*range(40)), accepted)
    assert parts(again)[2] == parts(first)[2] and again.new == [] and again.fingerprint == first.fingerprint
    _, fewer = read(rows(*range(39)), accepted)
    assert parts(fewer)[2] <= parts(first)[2]


def test_no_source_is_on_two_sides(read):
    """Copies, other targets of a source and other spellings follow it; those of the frozen set are out."""
    twice = [*rows(*range(40)), *rows(*range(40)), *({**row, "target": "another"} for row in rows(*range(40)))]
    shouted = [{**row, "source": row["source"].upper() + " "} for row in rows(*range(40), 801)]
    _, data = read([*twice, *shouted, *rows(802)])
    sides = [{row["source"].strip().lower() for row in part} for part in (data.train, data.newest, data.frozen)]
    assert len(sides[1]) > 3 and not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert len(data.leaking) == 2


def test_the_frozen_set_is_known_by_what_is_asked_and_expected(read, tmp_path):
    """Whatever lies in the other files."""
    (_, first), (_, second) = read(rows(*range(9))), read(rows(*range(7)))
    assert first.frozen_digest == second.frozen_digest and first.fingerprint != second.fingerprint


def test_what_was_accepted_is_found_whole_or_not_at_all(read, tmp_path, caplog):
    """A damaged file makes all examples new."""
    _, data = read(rows(*range(20)))
    keep_accepted(tmp_path, data, data.train)
    assert accepted_of(tmp_path, data.fingerprint) == Accepted(rows=list(data.train), newest=list(data.newest))
    file = tmp_path / "accepted" / f"{data.fingerprint}.json"
    file.write_bytes(file.read_bytes().replace(b"number 3", b"number 4", 1))
    assert accepted_of(tmp_path, data.fingerprint) is None and "all examples count as new" in caplog.text


def test_the_sweep_of_a_night_reads_what_was_written_and_scores_on_validation(read, tmp_path):
    """Its own copies, from the champion's teacher; the frozen set is left to the night."""
    config, data = read(rows(*range(20)))
    write_night(tmp_path / "night", data, data.train)
    sweep = sweep_of(config, tmp_path / "night", "/models/teacher")
    assert (sweep.evaluation.split, sweep.model.pretrained, sweep.tracking.register) == (
        "validation",
        "/models/teacher",
        None,
    )
    lines = (tmp_path / "night" / sweep.task.corpus.files["train"]).read_text().splitlines()
    assert [json.loads(line)["source"] for line in lines] == [row["source"] for row in data.train]
    assert sweep_of(config, tmp_path / "night", None).model == config.model


def test_a_column_that_no_model_reads_parts_the_frozen_set(read, tmp_path):
    """As text, in the order of the file, no more than are read; a mistyped one is named."""
    config, _ = read(rows(1, 2), None, "task.corpus.max_test_examples=2")
    tests = [{**row, "domain": domain} for row, domain in zip(rows(1, 2, 3), ["news", 7, None], strict=True)]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, tests)))
    assert column_of(config.task, config.data, "test", "domain") == ["news", "7"]
    with pytest.raises(UserError, match=r"no column 'domian'.*one of source, target, domain"):
        column_of(config.task, config.data, "test", "domian")
    config, _ = read(rows(*range(30)), None, "data.split_test=0.3")
    with pytest.raises(UserError, match="not the rows of a file"):
        column_of(config.task, config.data, "test", "domain")
