"""Texts stay as they are written; what YAML reads as something else is named, with the way to write it."""

import json
import shlex
from pathlib import Path

import pytest

from pipeline.config.errors import UserError
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.load import load_config
from pipeline.config.written import as_word
from pipeline.data.split_paths import check_split_names

LABELS = ["task=classification", "model=tiny_encoder"]
NUMBERS = ["2", "010", "1e3", "12:30", "2005-04-17", "0x1F", "1_000", ".5", "-0", "1.50", "0b1", "1:30.5", "=", "N/A"]
READ_OTHERWISE = ["NO", "no", "yes", "On", "off", "true", "False", "~", "null"]


@pytest.mark.parametrize("written", NUMBERS)
def test_a_number_or_a_date_is_the_text_that_is_written(written):
    """In a list, in a dictionary, alone, and in a file."""
    config = load_config(SweepJob, [*LABELS, f"task.labels=[{written},b]", f"task.corpus.files={{train: {written}}}"])
    assert config.task.labels == [written, "b"]
    assert config.task.corpus.files["train"] == written
    assert load_config(SweepJob, [f"task.name={written}"]).task.name == written


@pytest.mark.parametrize("written", READ_OTHERWISE)
def test_what_yaml_reads_as_a_boolean_or_nothing_is_no_text(written):
    """The message shows the list in quotes, and so written it is taken."""
    with pytest.raises(UserError) as caught:
        load_config(SweepJob, [*LABELS, f"task.labels=[a,{written}]"])
    assert f"task.labels[1]={written}, which YAML reads as " in str(caught.value)
    assert f"""write task.labels='["a","{written}"]'""" in caught.value.change
    config = load_config(SweepJob, [*LABELS, f'task.labels=["a","{written}"]'])
    assert config.task.labels == ["a", written]


def test_a_text_alone_is_shown_in_quotes():
    """Also one that YAML reads as a section; nothing is nothing where that is allowed."""
    prefixes = ("yes", "summarize: ", "#id", "[x]", "{a: b}")
    for word, change in ((f"task.source_prefix={prefix}", json.dumps(prefix)) for prefix in prefixes):
        with pytest.raises(UserError) as caught:
            load_config(SweepJob, [word])
        assert caught.value.change == f"write task.source_prefix='{change}'"
        load_config(SweepJob, [f"task.source_prefix={change}"])
    assert load_config(SweepJob, ["task.source_language=null"]).task.source_language is None


@pytest.mark.parametrize("text", [*READ_OTHERWISE, *NUMBERS, "a.b", " a ", "@x", "*x", "#x", "it's", "a: b", "é ${x}"])
def test_a_word_that_is_offered_sets_what_it_says(text):
    """Typed into a shell as it stands."""
    assert load_config(SweepJob, shlex.split(as_word("task.source_prefix", text))).task.source_prefix == text


@pytest.mark.parametrize(
    ("word", "change"),
    [
        ("task.source_prefix=@x", """if it is a text, write task.source_prefix='"@x"'"""),
        ("--dryrun", "write --dry-run"),
        ("--task=xsum", "write task=xsum"),
        ("task.corpus.files.dev=a", "rename it validation"),
    ],
)
def test_what_is_offered_helps(word, change):
    """Nothing is offered that is refused next."""
    with pytest.raises(UserError) as caught:
        check_split_names(load_config(SweepJob, [word]).task.corpus)
    assert caught.value.change == change


@pytest.mark.parametrize("word", ["seed=010", "seed=12:30", "student.dropout=010", "sweep.seeds=[1,010]"])
def test_a_number_that_yaml_reads_as_another_is_refused(word):
    """Octal numbers, and minutes and seconds."""
    with pytest.raises(UserError, match=r"which YAML reads as .* write (8|750), if that is meant"):
        load_config(SweepJob, [word])


@pytest.mark.parametrize("word", ["sweep.depths=[2]", "sweep.students=[{depth: 2}]"])
def test_a_depth_may_be_written_as_a_number(word):
    """Quotes are allowed, and not needed."""
    assert load_config(SweepJob, [word]).sweep.points()[0].depth == "2"


@pytest.mark.parametrize("depth", ["6.3", "6,3", "6 3", "06-3"])
def test_a_depth_with_another_sign_is_answered_with_the_hyphen(depth):
    """The likeliest slip."""
    with pytest.raises(UserError, match="write 6-3, with a hyphen"):
        load_config(SweepJob, [f"sweep.students=[{{depth: '{depth}'}}]"])


def test_files_are_read_like_words(tmp_path: Path):
    """Numbers as texts through anchors and merged sections; a boolean is named with its key."""
    for name, text in {
        "dq_sweep.yaml": "defaults: {task: mine}\n",
        "task/mine.yaml": "source_prefix: 010\nlabels: [NO]\n",
        "experiment/anchors.yaml": "sweep:\n  students: [&one {depth: 2, label: 1e3}, {<<: *one, label: 12:30}]\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=r'task.labels\[0\]=NO.*write \["NO"\] for task.labels'):
        load_config(SweepJob, [], tmp_path)
    (tmp_path / "task/mine.yaml").write_text("source_prefix: 010\n")
    config = load_config(SweepJob, ["experiment=anchors"], tmp_path)
    assert config.task.source_prefix == "010"
    assert [(point.depth, point.label) for point in config.sweep.points()] == [("2", "1e3"), ("2", "12:30")]
