"""An objective is an entry of one table: nobody else knows its name, and every entry says all that is asked."""

import ast
import random
import subprocess
import sys
from dataclasses import MISSING, fields, replace
from types import SimpleNamespace
from typing import get_args

import pytest
from datasets import Dataset
from repository import ROOT

from pipeline.config.build import build
from pipeline.config.errors import UserError
from pipeline.config.objectives import OBJECTIVES, ModelKind, Objective
from pipeline.config.sections.task import METRIC_TOKENIZERS, CorpusConfig, TaskConfig
from pipeline.data.batches import BatchPlan, TrainingBatches
from pipeline.data.corpora import Corpus
from pipeline.data.noise import NOISES, infill, noise_of
from pipeline.data.tokenise import tokenise
from pipeline.evaluation.metrics import HEADLINES
from pipeline.models.starting_point import families_of_kind
from pipeline.stages.fitting import OTHER_MODELS

TABLE = ROOT / "pipeline" / "config" / "objectives.py"
MASK = SimpleNamespace(mask_token_id=4)
entries = pytest.mark.parametrize("name", OBJECTIVES)


def names_in(source):
    """The names of objectives that a module's strings are, wherever they stand: compared, listed or looked up."""
    constants = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return [value for value in constants if isinstance(value, str) and value in OBJECTIVES]


def facts_read_in(source):
    """The attributes that a module reads of `task.facts`, or of what it calls facts."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and "facts" in (getattr(node.value, name, None) for name in ("attr", "id")):
            yield node.attr


@pytest.mark.parametrize(
    "branch",
    [
        "if task.objective == '{}': pass",
        "if task.objective in ('x', '{}'): pass",
        "chosen = {{'{}': 1}}[task.objective]",
        "match task.objective:\n    case '{}': pass",
    ],
)
@entries
def test_a_branch_on_a_name_is_found(name, branch):
    """The search of the next law sees every way to write one."""
    assert names_in(branch.format(name)) == [name]


def test_nobody_but_the_table_knows_an_objective_by_name():
    """In modules and jobs no string is the name of one, but for the default of `task.objective`."""
    modules = [path for folder in ("pipeline", "jobs") for path in sorted((ROOT / folder).rglob("*.py"))]
    assert names_in(TABLE.read_text()) == list(OBJECTIVES)
    found = {path: names for path in modules if path != TABLE and (names := names_in(path.read_text()))}
    assert found == {ROOT / "pipeline" / "config" / "sections" / "task.py": [TaskConfig().objective]}


def test_every_fact_is_said_of_every_objective():
    """None has a default, which a new entry would take over unseen; and all are read by somebody."""
    facts = {field.name: field for field in fields(Objective)}
    assert all(field.default is field.default_factory is MISSING for field in facts.values())
    modules = [path for path in (ROOT / "pipeline").rglob("*.py") if path != TABLE]
    read = {name for path in modules for name in facts_read_in(path.read_text())}
    assert set(facts) | {"has_decoder"} <= read


@entries
def test_what_an_entry_names_is_there(name):
    """Its noise, its metrics with headline and words, families for its kind of model, and what to say without one."""
    facts = OBJECTIVES[name]
    assert facts.meaning
    assert facts.noise is None or facts.noise in NOISES
    assert set(facts.metrics) <= set(HEADLINES) & set(METRIC_TOKENIZERS)
    assert facts.metrics
    assert families_of_kind(facts.model)
    assert set(OTHER_MODELS) == set(get_args(ModelKind))


@entries
def test_the_facts_of_an_entry_go_together(name):
    """Who copies its source without noise learns nothing; what is scored is a text of a decoder, or a label."""
    facts = OBJECTIVES[name]
    assert facts.target_is_source == (facts.noise is not None) == (not facts.has_references)
    assert facts.has_references == (facts.generates or facts.has_labels)
    assert facts.has_decoder or not facts.generates
    assert not (facts.has_labels and facts.target_is_source)
    assert facts.has_references or not facts.has_students
    assert facts.noise is not None or not facts.is_validated_noised


@entries
@pytest.mark.parametrize("metric", METRIC_TOKENIZERS)
def test_a_task_takes_the_metrics_of_its_objective_alone(name, metric):
    """And says which they are."""
    metrics = OBJECTIVES[name].metrics
    if metric in metrics:
        assert TaskConfig(objective=name, metric=metric).facts is OBJECTIVES[name]
    else:
        with pytest.raises(UserError, match=f"task.objective={name} with task.metric={metric}") as caught:
            TaskConfig(objective=name, metric=metric)
        assert caught.value.allowed == f"{' or '.join(metrics)} for {name}"


def test_the_settings_allow_the_names_of_the_table():
    """And no other."""
    assert [build(TaskConfig, {"objective": name, "metric": f.metrics[0]}).objective for name, f in OBJECTIVES.items()]
    with pytest.raises(UserError, match="objective=autoencoding") as caught:
        build(TaskConfig, {"objective": "autoencoding"}, "task")
    assert all(name in caught.value.allowed for name in OBJECTIVES)


def test_the_table_needs_no_torch():
    """What checks settings at once can read it."""
    program = "import sys, pipeline.config.objectives\nprint({'torch', 'transformers', 'datasets'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


@entries
def test_noise_is_drawn_by_seed_epoch_and_example(name, tiny_tokenizer):
    """Batches hold what the noise makes of every example, or the rows as they are where there is none."""
    rows = {"input_ids": [[0, *range(9, 40), 2], [0, *range(50, 70), 2]], "labels": [[0, 7, 2], [0, 8, 8, 2]]}
    if OBJECTIVES[name].target_is_source:
        rows["labels"] = rows["input_ids"]
    lengths = [(len(ids), len(labels)) for ids, labels in zip(rows["input_ids"], rows["labels"], strict=True)]
    plan = BatchPlan(lengths=lengths, batch_tokens=999, micro_batch_tokens=999, num_ranks=1, seed=3)
    noise = noise_of(OBJECTIVES[name].noise, tiny_tokenizer)
    batches = TrainingBatches(Dataset.from_dict(rows), plan, rank=0, pad_id=1, decoder_start_id=2, noise=noise)
    [[batch]], [step] = batches.steps(5), plan.steps(5)
    for place, example in enumerate(step.micro_batches[0][0]):
        whole = expected = {name: column[example] for name, column in rows.items()}
        if noise is not None:
            expected = noise(whole["input_ids"], whole["labels"], random.Random(f"3:5:{example}"))
            assert expected != whole
            assert noise.num_targets(whole["input_ids"], whole["labels"]) == len(expected["labels"])
        for name, column in expected.items():
            assert getattr(batch, name)[place, : len(column)].tolist() == column


def test_infilling_leaves_the_target_whole():
    """Holes are in the source alone."""
    ids, labels = [0, *range(9, 40), 2], [0, 7, 2]
    noise, expected = NOISES["infilling"](MASK), infill(ids, MASK.mask_token_id, random.Random(1))
    assert noise(ids, labels, random.Random(1)) == {"input_ids": expected, "labels": labels}
    assert noise.num_targets(ids, labels) == len(labels)


class EverySecond:
    """A noise that makes the labels of an encoder."""

    def __init__(self, tokenizer):
        self.mask_id = tokenizer.mask_token_id

    def num_targets(self, ids, labels):
        return len(labels)

    def __call__(self, ids, labels, rng):
        hidden = [i % 2 == 1 for i in range(len(ids))]
        shown = [self.mask_id if is_hidden else token for token, is_hidden in zip(ids, hidden, strict=True)]
        return {
            "input_ids": shown,
            "labels": [token if is_hidden else -100 for token, is_hidden in zip(labels, hidden, strict=True)],
        }


def test_a_further_objective_is_an_entry_and_its_noise(tiny_tokenizer, tmp_path, monkeypatch):
    """Settings, tokens and batches follow the table."""
    monkeypatch.setitem(OBJECTIVES, "unmasking", replace(OBJECTIVES["masked_lm"], noise="every second"))
    monkeypatch.setitem(NOISES, "every second", EverySecond)
    task = TaskConfig(objective="unmasking", corpus=CorpusConfig(source_column="text", target_column="text"))
    texts = ["def of words", "words of def that return"]
    corpus = Corpus(splits={"train": Dataset.from_dict({"source": texts, "target": texts})}, fingerprint="x")
    split = tokenise(corpus, task, tiny_tokenizer, tmp_path)["train"]
    plan = BatchPlan(lengths=split.lengths(), batch_tokens=999, micro_batch_tokens=999, num_ranks=1, seed=0)
    noise = noise_of(task.facts.noise, tiny_tokenizer)
    pad_id = tiny_tokenizer.pad_token_id
    batches = TrainingBatches(split.examples, plan, rank=0, pad_id=pad_id, decoder_start_id=None, noise=noise)
    [[batch]] = batches.steps(0)
    learned = batch.labels != -100
    assert (batch.decoder_input_ids, batch.labels.shape) == (None, batch.input_ids.shape)
    assert (batch.input_ids[learned] == tiny_tokenizer.mask_token_id).all()
    assert learned.sum() == sum(len(ids) // 2 for ids in split.examples["input_ids"][:])
