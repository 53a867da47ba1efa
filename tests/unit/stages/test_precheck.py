"""What is known before heavy imports: all of it at once, in about a second, with remedies that exist."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config.errors import Mistakes, UserError
from pipeline.config.job import job_of
from pipeline.config.jobs.dq_sweep import SweepJob
from pipeline.config.layers import CONF_DIR, members
from pipeline.config.load import known_config, load_config
from pipeline.models.starting_point import starting_point
from pipeline.stages.fitting import LONGER
from pipeline.stages.sweep.precheck import check_sweep
from pipeline.stages.teacher.precheck import check_teacher

ROOT = CONF_DIR.parent
HEAVY = ("torch", "transformers", "datasets", "mlflow", "ray", "deepspeed", "numpy")


def mistakes(*words, check=check_sweep, job="dq_sweep"):
    with pytest.raises(UserError) as caught:
        check(load_config(job_of(job), list(words)))
    return [str(error) for error in caught.value.errors]


@pytest.fixture
def own(tmp_path):
    """Words for a folder with the three files of a task of one's own."""
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text("{}\n")
    return f"data.root={tmp_path}"


@pytest.mark.parametrize("task", ["summarization", "question_answering", "translation"])
def test_own_texts_need_no_other_setting(own, task):
    """The default model has room for the default lengths."""
    check_sweep(load_config(SweepJob, [f"task={task}", own]))


def test_own_labels_are_answered_with_all_that_they_need(own):
    """One message: the model, the depth, and the experiment that sets both; each way is accepted."""
    [message] = mistakes("task=classification", own)
    for part in ("experiment=small_classification task=classification", "model=tiny_encoder", "sweep.depths=[2]"):
        assert part in message
    named = re.findall(r"(model|experiment|task)=(\w+[\w-]*)", message)
    assert all(name in members(group) for group, name in named)
    for words in (["experiment=small_classification"], ["model=tiny_encoder", "sweep.depths=[2]"]):
        check_sweep(load_config(SweepJob, [*words, "task=classification", own]))


def test_lengths_beyond_the_positions_are_answered_with_longer_models(own):
    """All lengths in one message; each remedy is accepted."""
    lengths = ["task.max_source_tokens=200", "task.decoding.max_length=150"]
    [message] = mistakes("task=summarization", own, *lengths)
    assert message.startswith("task.max_source_tokens=200, task.decoding.max_length=150. Allowed: at most 128")
    assert "model=tiny (256), model=bart-base (1024)" in message
    assert "task.max_source_tokens=128 task.decoding.max_length=128" in message
    check_sweep(load_config(SweepJob, ["task=summarization", own, *lengths, "model=tiny"]))
    check_sweep(load_config(SweepJob, ["task=xsum", "model=tiny", "model.architecture.max_positions=1024"]))
    [source] = mistakes("task=summarization", own, "task.max_source_tokens=200")
    assert "experiment=small_texts task=summarization" in source
    [scratch] = mistakes("task=summarization", own, "task.max_source_tokens=300", "model=tiny")
    assert "at most 256" in scratch and "set model.architecture.max_positions=300" in scratch
    assert LONGER["tiny"] == starting_point(load_config(SweepJob, ["model=tiny"]).model).num_positions


def test_everything_that_paths_and_settings_tell_is_told_at_once(tmp_path):
    """Files, folders, lengths, depths and recipes; a plan of the teacher alone asks for no students."""
    (tmp_path / "train.zip").write_text("x")
    words = [
        *("task=summarization", f"data.root={tmp_path}", "task.corpus.files.train=train.zip"),
        *("task.max_source_tokens=999", "model.tokenizer=./nothing", "task.family_prefixes={t6: x}"),
        "sweep.students=[{depth: 7-3}, {depth: 6}, {label: x, recipe: {quantization: {lm_haed: false}}},"
        " {heads: 0.5, scheme: 2-2-8, label: y, recipe: {quantization: {weight_granularity: group_32}}}]",
        *("storage.path=/etc/passwd/runs", "recipe.schedule=['0.5:8-8-8']"),
        *("recipe.quantization.clip_value=2.5", "recipe.quantization.bits=['a=5']"),
    ]
    starts = ["storage.path=/etc/passwd/runs", "data file", "data file", "model.tokenizer=./nothing"]
    starts += ["model family 't6'", "task.max_source_tokens=999", "depth '7-3': 7 student layers", "depth '6' of"]
    starts += [
        "recipe.quantization.bits entry 'a=5'",
        "recipe.schedule entry",
        "unknown key",
        "student '2-2-8 6-3 y heads=0.5' with group_32",
    ]
    found = mistakes(*words)
    assert len(found) == len(starts) and all(m.startswith(s) for m, s in zip(found, starts, strict=True)), found
    assert "In" in found[1] and "train.zip" in found[1]
    assert len(mistakes(*words, check=check_teacher)) == 6


def test_mistakes_of_every_kind_are_told_at_once(tmp_path):
    """Options, keys, values, files, a model folder, students; nothing that only follows from another."""
    words = ["--dryrun", "task=summarization", f"data.root={tmp_path}", "teacher.epoch=3", "seed=-1"]
    words += [f"model.pretrained={tmp_path}/none", "storage.path=/etc/passwd/runs", "task.labels=[no,b]"]
    words += ["sweep.students=[{scheme: 9-2-8, depth: 6-3}]"]
    run = subprocess.run(
        [sys.executable, "jobs/dq_sweep.py", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    said = " ".join(run.stderr.split())
    assert "dq_sweep: 8 mistakes" in said
    for part in (
        "--dry-run",
        "'teacher.epochs'",
        "seed=-1",
        "train.jsonl",
        "there is no such folder",
        "/etc/passwd/runs",
    ):
        assert part in said
    assert """task.labels='["no","b"]'""" in said and "9 weight bits" in said
    [unknown, model] = mistakes_known("task=summarisation", f"data.root={tmp_path}", "model.pretrained=./none")
    assert "unknown task" in unknown and "./none" in model


def mistakes_known(*words):
    found = Mistakes()
    with pytest.raises(UserError) as caught:
        check_sweep(known_config(SweepJob, list(words), found), found)
    return [str(error) for error in caught.value.errors]


@pytest.mark.parametrize("name", ["train.csv", "train.tsv", "train.json", "train.jsonl"])
def test_columns_of_text_files_are_known_before_heavy_imports(tmp_path, name):
    """With everything else; of Parquet they are known later, and so is what is wrong with rows."""
    texts = {".csv": "text,title\n,x\n", ".tsv": "text\ttitle\n\tx\n"}
    (tmp_path / name).write_text(texts.get(Path(name).suffix, '{"text": 1, "title": "x"}'))
    words = ["task=summarization", f"data.root={tmp_path}", f"task.corpus.files.train={name}"]
    words += ["data.split_validation=0.1", "data.split_test=0.1", "model.pretrained=./none"]
    [source, target, model] = mistakes(*words)
    assert f"no column 'source' in split 'train' ({tmp_path}/{name})" in source and "source_column=text" in source
    assert "target_column=title" in target and "./none" in model
    (tmp_path / "train.parquet").write_text("x")
    assert len(mistakes(*words, "task.corpus.files.train=train.parquet")) == 1


def test_a_split_that_is_taken_from_another_needs_no_file(tmp_path):
    """With data.split_validation and data.split_test only the training file is asked for."""
    (tmp_path / "train.csv").write_text("source,target\na,b\n")
    words = ["task=summarization", f"data.root={tmp_path}", "task.corpus.files.train=train.csv"]
    assert "data.split_validation=0.1" in mistakes(*words)[0]
    check_sweep(load_config(SweepJob, [*words, "data.split_validation=0.1", "data.split_test=0.1"]))


def own_commands():
    """The README's commands for data of one's own, word by word."""
    section = (ROOT / "README.md").read_text().split("## Your own data")[1].split("\n## ")[0].replace("\\\n", " ")
    return [shlex.split(line)[2:] for line in section.splitlines() if line.startswith("    python jobs/dq_sweep.py")]


@pytest.mark.parametrize("words", own_commands(), ids=lambda words: words[2])
def test_a_command_of_the_readme_needs_its_files_alone(words, tmp_path):
    """One for each kind of task: with the files that it names, nothing is missing."""
    assert len(own_commands()) == 4
    named = [name for word in words for name in re.findall(r"[a-z]+\.(?:csv|tsv|jsonl)\b", word)]
    for name in named:
        (tmp_path / name).write_text("{}\n")
    words = [f"data.root={tmp_path}" if word.startswith("data.root=") else word for word in words]
    check_sweep(load_config(SweepJob, words))
    (tmp_path / named[0]).unlink()
    assert named[0] in mistakes(*words)[0]


def test_the_same_mistake_of_many_students_is_told_once():
    """Of a grid, the first student stands for all."""
    words = ["sweep.schemes=[8-8-8,4-4-8,2-2-8]", "sweep.depths=[6-3,9-3]", "sweep.heads=[0.5]", "recipe=dqbart"]
    assert len(mistakes(*words)) == 2


PROGRAM = f"""
import runpy, sys
code = 0
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    code = end.code
heavy = [name for name in {HEAVY} if name in sys.modules]
sys.exit(f"imported {{heavy}}" if heavy else code)
"""


@pytest.mark.parametrize(
    ("job", "words", "code"),
    [
        *((path.stem, ["--help"], 0) for path in sorted((ROOT / "jobs").glob("*.py"))),
        *((path.stem, ["--print-config"], 0) for path in sorted((ROOT / "jobs").glob("*.py"))),
        ("dq_sweep", ["task=summarization", "sweep.depths=[9-9]"], 2),
        ("dq_sweep", ["seed=x", "--dry-run"], 2),
        ("finetune_teacher", ["model.pretrained=/nowhere/model"], 2),
        ("finetune_teacher", ["--dry-run"], 2),
        ("compare", ["one"], 2),
        ("export", [], 2),
        ("generate", ["text=a"], 2),
        ("generate", ["M", "a", "stream=true", "jsonl=true"], 2),
        ("benchmark", ["kind"], 2),
        ("benchmark", ["search"], 2),
    ],
)
def test_a_command_answers_before_it_imports(job, words, code, tmp_path):
    """Help, configuration and mistakes need none of the big libraries."""
    program = PROGRAM.replace("sys.argv[0]", repr(str(ROOT / "jobs" / f"{job}.py")))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DQ_STORAGE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program, *words], env=environment, capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, "imported" in done.stderr) == (code, False), done.stderr
    assert not list(Path(tmp_path).iterdir())
