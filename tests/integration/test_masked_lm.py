"""An encoder learns from plain text through the teacher's job, and classification starts from its folder."""

import json
import lzma
import random
from pathlib import Path

import pytest
from mlflow import MlflowClient
from small_task import killed_at_call
from transformers import AutoModelForMaskedLM, AutoTokenizer

from pipeline.stages.sweep import job as sweep_job
from pipeline.stages.teacher.job import run
from pipeline.storage.sealed import SEAL
from pipeline.training.engine import TorchEngine

SENTENCES = ["the small river is green", "a big bird sits on a red tree", "one blue fish swims under a white cloud"]


@pytest.fixture
def plain(tmp_path, sizes):
    """Arguments of a teacher on plain text: a packed file, of which the other splits are a share."""
    draw = random.Random(0)
    lines = [" ".join(draw.choices(SENTENCES, k=draw.randint(1, 3))) + f" {number}" for number in range(150)]
    (tmp_path / "articles.txt.xz").write_bytes(lzma.compress("\n\n".join(["", *lines]).encode()))
    sizes = [word for word in sizes if not word.startswith(("student.", "evaluation.latency"))]
    places = [f"data.root={tmp_path}", "task.corpus.files.train=articles.txt.xz"]
    places += ["data.split_validation=0.1", "data.split_test=0.1", "task.max_source_tokens=32"]
    return ["task=plain_text", "model=tiny_encoder", *sizes, *places]


def finished(job, *arguments):
    """(document, stderr) of a teacher's job that ends well."""
    code, out, err = job("finetune_teacher", run, *arguments, base=False)
    assert code == 0, err
    return json.loads(out.splitlines()[-1]), err


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_an_encoder_is_trained_on_plain_text_and_classifies_afterwards(job, plain, tmp_path, family):
    """The better the longer; anybody can read what is saved; further training goes on from it, with or without head."""
    arguments = [*plain, f"model.family={family}", f"storage.path={tmp_path / 'runs'}", "teacher.learning_rate=3e-3"]
    document, err = finished(job, *arguments, "teacher.epochs=3")
    assert document["scores"] == {}
    assert set(document["validation"]) == {"loss", "score", "masked_accuracy"}
    assert document["validation"]["score"] == -document["validation"]["loss"] > -6.2  # ln 400 is 6.0
    assert "example 1 of train\n  source: " in err and "target: " not in err
    run_data = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}").get_run(document["run_id"]).data
    assert {"validation_loss", "validation_masked_accuracy", "task_loss"} <= set(run_data.metrics)
    assert run_data.params["task.objective"] == "masked_lm"
    folder = Path(document["folder"])
    loaded, info = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight
    assert AutoTokenizer.from_pretrained(folder).mask_token_id is not None
    more, err = finished(job, *arguments, f"model.pretrained={folder}", "model.family=null", "teacher.epochs=20")
    assert more["validation"]["loss"] < document["validation"]["loss"] - 0.5
    assert more["validation"]["masked_accuracy"] >= document["validation"]["masked_accuracy"]
    assert "starts from scratch" not in err
    again, _ = finished(job, *arguments, "teacher.epochs=3")
    assert again == document
    rows = [{"text_a": text, "text_b": "x", "label": ["no", "yes"][i % 2]} for i, text in enumerate(SENTENCES * 6)]
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ["task=classification", f"model.pretrained={folder}", *arguments[2:-2]]
    words = [word for word in words if not word.startswith(("task.corpus", "data.split", "model.arch", "model.family"))]
    students = "sweep.students=[{scheme: 8-8-8, depth: '1'}]"
    words += [f"storage.path={tmp_path / 'runs'}", students, "student.max_steps=2", "evaluation.latency_examples=1"]
    code, out, err = job("dq_sweep", sweep_job.run, *words, base=False)
    assert code == 0, err
    assert "the classifier of model model starts from scratch: its labels were" in err
    teacher = Path(json.loads(out.splitlines()[-1])["teacher"]["folder"])
    assert json.loads((teacher / "config.json").read_text())["architectures"][0].endswith("ForSequenceClassification")


def test_a_killed_job_continues_to_the_same_result(job, plain, tmp_path, monkeypatch):
    """In the middle of its second epoch: the metrics of an undisturbed run, bit for bit."""
    arguments = [*plain, "teacher.epochs=4", "teacher.checkpoint_every_steps=3"]
    calls, step = [], TorchEngine.step
    monkeypatch.setattr(TorchEngine, "step", lambda engine, rate: calls.append(rate) or step(engine, rate))
    undisturbed, _ = finished(job, *arguments, f"storage.path={tmp_path / 'one'}")
    rates = calls.copy()
    killed = [*arguments, f"storage.path={tmp_path / 'other'}"]
    with monkeypatch.context() as patched:
        patched.setattr(TorchEngine, "step", killed_at_call(TorchEngine.step, 11))
        assert job("finetune_teacher", run, *killed, base=False)[0] == 3
    calls.clear()
    document, _ = finished(job, *killed)
    assert calls == rates[9:] and len(rates) > 12  # from the last checkpoint on
    assert document["validation"] == undisturbed["validation"]
    weights = [(Path(one["folder"]) / "model.safetensors").read_bytes() for one in (undisturbed, document)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model=tiny"], "family bart for task.objective=masked_lm. Allowed: one of bert, roberta. Change: set model,"),
        (["model.family=t5"], "family t5 for task.objective=masked_lm"),
        (["task.metric=accuracy"], "task.objective=masked_lm with task.metric=accuracy"),
        (["task.labels=[a, b]"], "task.labels with task.objective=masked_lm"),
        (["task.corpus.target_column=label"], "no column 'label' in split 'train'"),
        (["task.max_source_tokens=300"], "task.max_source_tokens=300. Allowed: at most 256"),
        (["task.corpus.files.train=nothing.txt"], "nothing.txt does not exist"),
    ],
)
def test_what_no_masked_lm_can_be_is_refused(job, plain, tmp_path, arguments, message):
    """Before anything is trained, with what is allowed."""
    code, _, err = job("finetune_teacher", run, *plain, *arguments, f"storage.path={tmp_path}", base=False)
    assert code == 2
    assert message in " ".join(err.split())


def test_labels_that_are_numbers_are_no_text(job, plain, tmp_path):
    """Of a classification task's file, whose label column was left where the text should stand."""
    (tmp_path / "a.jsonl").write_text('{"text": "a b c", "label": 1}\n' * 9)
    columns = ["task.corpus.files={train: a.jsonl}", "task.corpus.target_column=label"]
    code, _, err = job("finetune_teacher", run, *plain, *columns, f"storage.path={tmp_path / 'runs'}", base=False)
    assert code == 2
    assert "column 'label' holds '1' (int) in line 1 of split 'train'" in " ".join(err.split())


def test_a_tokenizer_without_a_mask_token_is_refused_before_the_data(job, plain, tmp_path):
    """Whichever folder it is read from; a changed one of ours is refused before that, unless its seal is gone."""
    document, _ = finished(job, *plain, "teacher.max_steps=1", f"storage.path={tmp_path / 'runs'}")
    folder = Path(document["folder"])
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("mask_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    arguments = [*plain, f"model.pretrained={folder}", f"storage.path={tmp_path / 'others'}"]
    for message in ("is damaged", "task.objective=masked_lm with a tokenizer that has no mask token"):
        code, _, err = job("finetune_teacher", run, *arguments, base=False)
        assert code == 2
        assert message in " ".join(err.split())
        (folder / SEAL).unlink(missing_ok=True)
    assert not (tmp_path / "others" / "cache" / "tokens").exists()
