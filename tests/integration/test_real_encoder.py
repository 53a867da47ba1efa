"""The real encoder, where `python infra/minilm.py runs/models/all-MiniLM-L6-v2` has put it: loads, packs, answers."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

from pipeline.config.sections.model import ModelConfig
from pipeline.models.load import load_pretrained
from pipeline.serving.logged_models import EXPORTED
from pipeline.stages.sweep.job import run
from pipeline.stages.teacher import job as teacher_job

WEIGHTS = Path(os.environ.get("DQ_STORAGE", ROOT / "runs")) / "models" / "all-MiniLM-L6-v2"
pytestmark = [pytest.mark.minilm, pytest.mark.skipif(not WEIGHTS.is_dir(), reason=f"no weights in {WEIGHTS}")]


@pytest.fixture
def claims(tmp_path):
    """Arguments of a task of text pairs, on that encoder."""
    draw, words = random.Random(0), ["green", "red", "house", "river", "unbelievable"]
    for split in ("train", "validation", "test"):
        rows = [{"text_a": " ".join(draw.choices(words, k=5)), "text_b": draw.choice(words)} for _ in range(12)]
        lines = [json.dumps({**row, "label": str(row["text_b"] in row["text_a"])}) for row in rows]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
    places = [f"data.root={tmp_path}", f"storage.path={tmp_path / 'runs'}", "cluster=process"]
    few = ["teacher.max_steps=1", "student.max_steps=1", "teacher.batch_tokens=64", "student.batch_tokens=64"]
    return [*places, "task=classification", "model=minilm", f"model.pretrained={WEIGHTS}", *few]


def test_it_is_a_bert_of_six_layers():
    """Width 384, 22.7 million parameters with its pooler, and a head of ours."""
    model = load_pretrained(ModelConfig(pretrained=str(WEIGHTS), family="bert"), 30522, ["no", "yes"])
    config = model.config
    assert (config.model_type, config.num_hidden_layers, config.hidden_size) == ("bert", 6, 384)
    assert sum(parameter.numel() for parameter in model.parameters()) == 22_713_986
    assert model.classifier.out_features == 2


def test_it_goes_through_the_main_job(job, claims):
    """Cut, quantized with and without training, packed; its graphs say without torch what torch says.

    In full precision to the last digits that are sure. With 8-bit activations noise of 1e-7 after the embeddings was
    seen to move its logits by 1e-2: values that lie between two codes round the other way.
    """
    students = "sweep.students=[{scheme: 32-32-32, depth: '6', training: ptq}, {scheme: 2-2-8, depth: '3'}]"
    code, out, err = job("dq_sweep", run, *claims, students, "evaluation.score_exported=true", base=False)
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    plain, quantized = (student["metrics"] for student in document["students"])
    assert plain["parity_error"] < 1e-5 and plain["onnx_same_predictions"] == 1
    assert quantized["parity_error"] < 0.1 and quantized["onnx_same_predictions"] > 0.8
    assert quantized["size_ratio"] > 16
    folder = Path(document["report"]).parent / "students" / document["students"][0]["key"]
    said = [json.loads(line)["prediction"] for line in (folder / "predictions.jsonl").read_text().splitlines()]
    asked = [json.loads(line) for line in (folder.parents[4] / "test.jsonl").read_text().splitlines()]
    lines = [json.dumps({"text": row["text_a"], "text_pair": row["text_b"]}) for row in asked]
    (folder / "asked.jsonl").write_text("\n".join(lines))
    command = [sys.executable, "-m", "pipeline.runtime", str(folder / EXPORTED), str(folder / "asked.jsonl")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == said


def test_as_a_masked_lm_it_gets_a_head_of_its_own(job, claims, tmp_path):
    """It has none: the job says so, draws one, and trains both."""
    (tmp_path / "lines.txt").write_text("the house is green\nthe river is red\n" * 20)
    words = ["task=plain_text", *(f"task.corpus.files.{split}=lines.txt" for split in ("train", "validation", "test"))]
    words += [word for word in claims if not word.startswith(("task", "student"))]
    code, _, err = job("finetune_teacher", teacher_job.run, *words, base=False)
    assert code == 0, err
    assert "no head of a masked LM" in err and "starts from scratch" in err
