"""Pre-training as a whole job: a teacher, a small model with its help and one without, and what each is good for."""

import json
import random
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from small_task import called, killed_at_call
from transformers import AutoModelForMaskedLM, AutoTokenizer

from pipeline.stages.pretrain.job import dry_run, run
from pipeline.stages.teacher.job import run as run_teacher
from pipeline.storage.sealed import SEAL
from pipeline.training.engine import TorchEngine

SENTENCES = ["the small river is green", "a big bird sits on a red tree", "one blue fish swims under a white cloud"]
SHAPE = "{encoder_layers: 1, num_heads: 2, d_model: 8, ffn_dim: 16, max_positions: 32}"
NAMES = {"distilled", "alone"}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Arguments of a pre-training on packed lines that takes seconds."""
    folder, draw = tmp_path_factory.mktemp("texts"), random.Random(0)
    lines = [" ".join(draw.choices(SENTENCES, k=draw.randint(1, 3))) + f" {number}" for number in range(150)]
    (folder / "articles.txt").write_text("\n".join(lines))
    return [
        *("task=plain_text", "model=tiny_encoder", "cluster=process", f"data.root={folder}"),
        *("task.corpus.files={train: articles.txt}", "data.split_validation=0.1", "data.split_test=0.1"),
        *("task.max_source_tokens=32", "task.packed=true", "model.vocab_size=400"),
        "model.architecture={d_model: 16, ffn_dim: 32, num_heads: 2, encoder_layers: 1}",
        *("teacher.epochs=1", "teacher.batch_tokens=512", "student.epochs=3", "student.batch_tokens=512"),
        *("student.checkpoint_every_steps=3", "student.log_every_steps=1", "student.learning_rate=3e-3"),
        *(f"pretraining.architecture={SHAPE}", "pretraining.validate_every_steps=4"),
    ]


def finished(*arguments, name="bort_pretrain", how=run):
    """(document, stderr) of a job that ends well."""
    code, out, err = called(name, how, *arguments)
    assert code == 0, err
    return json.loads(out.splitlines()[-1]), err


@pytest.fixture(scope="module")
def pretrained(words, tmp_path_factory):
    """(storage folder, document, stderr) of an undisturbed run."""
    storage = tmp_path_factory.mktemp("pretrained")
    return storage, *finished(*words, f"storage.path={storage}")


def untimed(document):
    """What must be the same however often and wherever a job runs."""
    names = ("masked_accuracy", "perplexity", "equal_loss", "steps_to_equal_loss", "num_steps", "key")
    return {name: document[name] for name in names}


def weights(document):
    return {name: (Path(folder) / "model.safetensors").read_bytes() for name, folder in document["folders"].items()}


def test_the_document_says_what_the_teacher_was_worth(pretrained):
    """Scores of all three, costs of both, and when they were equal: the weaker one at its very end."""
    storage, document, err = pretrained
    assert document["status"] == "finished" and document["folder"] == document["folders"]["distilled"]
    for name in ("masked_accuracy", "perplexity"):
        assert set(document[name]) == {"teacher", *NAMES}
    assert all(1 < value < 450 for value in document["perplexity"].values())
    for name in ("steps_to_equal_loss", "seconds_to_equal_loss", "seconds", "tokens_per_second", "run_ids"):
        assert set(document[name]) == NAMES
    assert max(document["steps_to_equal_loss"].values()) == document["num_steps"]
    assert all(0 < document["seconds_to_equal_loss"][name] <= document["seconds"][name] for name in NAMES)
    files = {"report.html", "results.md", "config.yaml", "curves.png"}
    assert {path.name for path in Path(document["report"]).iterdir()} == files
    report = (Path(document["report"]) / "results.md").read_text()
    assert "| model | masked accuracy % | perplexity | parameters | MiB |" in report
    assert "0.1 CE + 0.5 KL at T=2" in err and not (storage / "pretrained" / document["key"] / "checkpoints").exists()


def test_mlflow_has_a_run_of_the_whole_and_one_of_each(pretrained):
    """With curves on held-out text; the last point of a curve is what the model ended with."""
    storage, document, _ = pretrained
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    parent = client.get_run(document["run_id"])
    assert parent.info.status == "FINISHED" and "| distilled |" in parent.data.tags["mlflow.note.content"]
    for name, run_id in document["run_ids"].items():
        found = client.get_run(run_id)
        assert found.info.status == "FINISHED" and found.data.tags["mlflow.parentRunId"] == document["run_id"]
        assert found.data.metrics["test_perplexity"] == document["perplexity"][name]
        assert {"task_loss", "training_seconds", "cohort_tokens_per_second"} <= set(found.data.metrics)
        assert ("logits_loss" in found.data.metrics) == (name == "distilled")
        steps = [point.step for point in client.get_metric_history(run_id, "validation_masked_accuracy")]
        assert steps == [*range(4, document["num_steps"], 4), document["num_steps"]]


def test_anybody_can_read_the_model_and_a_classifier_starts_from_it(pretrained, words, tmp_path):
    """With the teacher's tokenizer; its head is new, its encoder is what was learned."""
    _, document, _ = pretrained
    loaded, info = AutoModelForMaskedLM.from_pretrained(document["folder"], output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert (loaded.config.hidden_size, loaded.config.num_hidden_layers) == (8, 1)
    theirs, mine = (AutoTokenizer.from_pretrained(document[name]) for name in ("teacher", "folder"))
    assert mine.get_vocab() == theirs.get_vocab() and mine.mask_token_id is not None
    rows = [{"text_a": text, "label": ["no", "yes"][i % 2]} for i, text in enumerate(SENTENCES * 6)]
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    classifier, _ = finished(
        *("task=classification", "task.corpus.second_column=null", f"model.pretrained={document['folder']}"),
        *("cluster=process", "teacher.max_steps=2", "task.max_source_tokens=32", f"data.root={tmp_path}"),
        f"storage.path={tmp_path / 'runs'}",
        name="finetune_teacher",
        how=run_teacher,
    )
    assert classifier["scores"]["accuracy"] >= 0.0


def test_submitting_again_trains_nothing(pretrained, words, monkeypatch):
    """The same document; not a step, neither of the teacher nor of its students."""
    storage, document, _ = pretrained
    monkeypatch.setattr(TorchEngine, "step", killed_at_call(TorchEngine.step, 1))
    again, err = finished(*words, f"storage.path={storage}")
    assert again == document and "found finished" in err
    planned, err = finished(*words, f"storage.path={storage}", how=dry_run)
    assert planned["status"] == "planned" and planned["is_finished"] and planned["num_steps"] == document["num_steps"]


@pytest.mark.parametrize("call", [4, 11, 16])
def test_a_killed_job_continues_to_the_same_result(pretrained, words, tmp_path, monkeypatch, call):
    """Of both models, bit for bit: between two checkpoints, right after one, in another epoch."""
    _, undisturbed, _ = pretrained
    arguments = [*words, f"storage.path={tmp_path}"]
    with monkeypatch.context() as patched:
        patched.setattr(TorchEngine, "step", killed_at_call(TorchEngine.step, call))
        assert called("bort_pretrain", run, *arguments)[0] == 3
    document, _ = finished(*arguments)
    assert untimed(document) == untimed(undisturbed) and weights(document) == weights(undisturbed)


@pytest.fixture
def num_steps(monkeypatch):
    """Counts the optimiser steps of all models from now on."""
    taken, step = [], TorchEngine.step
    monkeypatch.setattr(TorchEngine, "step", lambda *arguments: taken.append(1) or step(*arguments))
    return lambda: len(taken)


def test_the_comparison_changes_nothing_of_the_distilled_model(pretrained, words, num_steps, tmp_path):
    """Whether another model learns beside it, and how often both are looked at; so the key is the same: who compares
    later trains the other model alone, who compares no more trains nothing.
    """
    storage, document, _ = pretrained
    shutil.copytree(storage / "teachers", tmp_path / "teachers")
    alone = ["pretraining.compare=false", f"storage.path={tmp_path}"]
    single, _ = finished(*words, *alone, "pretraining.validate_every_steps=5")
    assert set(single["folders"]) == {"distilled"} and num_steps() == document["num_steps"]
    assert weights(single)["distilled"] == weights(document)["distilled"]
    assert single["steps_to_equal_loss"] == {"distilled": document["num_steps"]}
    both, err = finished(*words, f"storage.path={tmp_path}")
    assert num_steps() == 2 * document["num_steps"] and weights(both) == weights(document)
    assert both["key"] == document["key"] and both["perplexity"] == document["perplexity"]
    assert "ignored: pretraining.validate_every_steps=4 of the model 'distilled'" in err
    again, _ = finished(*words, *alone)
    assert again == both and num_steps() == 2 * document["num_steps"]


def test_a_comparison_that_is_given_up_halfway_costs_no_step(pretrained, words, tmp_path, monkeypatch):
    """The distilled model goes on from the checkpoint of both; wanted after all, the other one begins afresh."""
    storage, document, _ = pretrained
    shutil.copytree(storage / "teachers", tmp_path / "teachers")
    taken, step = [], TorchEngine.step
    for word, last in (("pretraining.compare=true", 11), ("pretraining.compare=false", 4), (words[0], 1000)):
        with monkeypatch.context() as patched:
            kill = killed_at_call(lambda *arguments: taken.append(1) or step(*arguments), last)
            patched.setattr(TorchEngine, "step", kill)
            code, out, err = called("bort_pretrain", run, *words, word, f"storage.path={tmp_path}")
            assert code == (0 if last == 1000 else 3), err
    final = json.loads(out.splitlines()[-1])
    assert weights(final) == weights(document) and untimed(final) == untimed(document)
    assert len(taken) == 10 + 3 + (document["num_steps"] - 6) + document["num_steps"]  # checkpoints after 3 and 6


def test_a_teacher_is_used_as_it_is_and_a_start_goes_on(pretrained, words, tmp_path):
    """A masked LM of a folder without steps of its own; what was pre-trained learns on from there."""
    _, document, _ = pretrained
    arguments = [word for word in words if not word.startswith(("model.", "teacher."))]
    used = [*arguments, f"model.pretrained={document['teacher']}", "teacher.max_steps=0", f"storage.path={tmp_path}"]
    further, err = finished(*used, f"pretraining.start={document['folder']}")
    assert further["perplexity"]["teacher"] == document["perplexity"]["teacher"]
    assert further["perplexity"]["distilled"] < document["perplexity"]["distilled"]
    assert "starts from scratch" not in err


MISTAKES = [
    (["task.objective=denoising"], "task.objective=denoising, whose models are no masked LMs. Allowed: masked_lm"),
    (["pretraining.architecture.num_heads=3"], "pretraining.architecture: 3 heads in a width of 8"),
    (["pretraining.family=bart"], "pretraining.family=bart. Allowed: one of bert, roberta"),
    (["pretraining.logits=0"], "all 0: nothing is learned from the teacher"),
    (["pretraining.hidden=1"], "pretraining.hidden=1 for a width of 8 and a teacher's of 16"),
    (["pretraining.relations=1", "pretraining.relation_heads=3"], "3 relation heads for widths of 8 and 16"),
    (["teacher.max_steps=0"], "a teacher from scratch that is not trained"),
    (["pretraining.architecture.max_positions=16"], "task.max_source_tokens=32 for a small model of 16 positions"),
    (["pretraining.start=/nowhere/at/all"], "pretraining.start=/nowhere/at/all: there is no such folder"),
    (["data.split_validation=0"], "validation.txt does not exist (split 'validation')"),
    (["student.validate_every_epochs=1"], "validate_every_epochs"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[message[:30] for _, message in MISTAKES])
def test_what_cannot_be_pretrained_is_refused(words, tmp_path, arguments, message):
    """Before anything is trained, with what is allowed."""
    code, _, err = called("bort_pretrain", run, *words, *arguments, f"storage.path={tmp_path}")
    assert code == 2
    assert message in " ".join(err.split())
    assert not (tmp_path / "teachers").exists()


def test_a_start_with_another_vocabulary_is_refused(pretrained, words, tmp_path):
    """Logits are compared token by token; a tokenizer of other data numbers others."""
    _, document, _ = pretrained
    start = [f"pretraining.start={document['folder']}", f"storage.path={tmp_path}", "model.vocab_size=350"]
    code, _, err = called("bort_pretrain", run, *words, *start)
    assert code == 2
    assert "the teacher has 350 tokens, pretraining.start=" in " ".join(err.split())


def test_a_teacher_without_a_mask_token_or_without_a_head_is_refused(pretrained, words, tmp_path):
    """The one knows no hidden tokens; the other is an encoder that would teach with random weights."""
    _, document, _ = pretrained
    arguments = [word for word in words if not word.startswith(("model.", "teacher."))]
    arguments += ["teacher.max_steps=0", f"storage.path={tmp_path / 'runs'}"]
    for name in ("maskless", "headless"):
        shutil.copytree(document["teacher"], tmp_path / name, ignore=shutil.ignore_patterns(SEAL))  # they are changed
    settings = json.loads((tmp_path / "maskless" / "tokenizer_config.json").read_text())
    settings.pop("mask_token")
    (tmp_path / "maskless" / "tokenizer_config.json").write_text(json.dumps(settings))
    AutoModelForMaskedLM.from_pretrained(document["teacher"]).roberta.save_pretrained(tmp_path / "headless")
    messages = {"maskless": "a tokenizer that has no mask token", "headless": "has no head of a masked LM"}
    for name, message in messages.items():
        code, _, err = called("bort_pretrain", run, *arguments, f"model.pretrained={tmp_path / name}")
        assert code == 2
        assert message in " ".join(err.split())
    trained = [word for word in arguments if not word.startswith("teacher.")] + ["teacher.max_steps=2"]
    shutil.copy(Path(document["teacher"]) / SEAL, tmp_path / "headless")
    code, _, err = called("bort_pretrain", run, *trained, f"model.pretrained={tmp_path / 'headless'}")
    assert code == 2 and f"taken without its {SEAL}" in " ".join(err.split())
    (tmp_path / "headless" / SEAL).unlink()
    document, err = finished(*trained, f"model.pretrained={tmp_path / 'headless'}", "student.max_steps=2")
    assert "it starts from scratch" in err and document["status"] == "finished"
