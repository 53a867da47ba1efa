"""A model folder of the user's own through the main job: refused under its own name, or taken as it is."""

import json

import pytest
from folders import WEIGHTS, set_config, set_tensors
from tokenizers import processors
from transformers import BartConfig, BartForConditionalGeneration

from pipeline.data.tokenise import train_tokenizer
from pipeline.stages.sweep.job import run

WORDS = ["red", "green", "blue", "round", "small", "big", "stone", "river", "hill", "cloud", "tree", "bird", "fish"]


@pytest.fixture
def folder(tmp_path):
    """A small BART from scratch with its tokenizer."""
    tokenizer = train_tokenizer(WORDS * 50, vocab_size=320)
    layers = {f"{stack}_{what}": n for stack in ("encoder", "decoder") for what, n in SIZES.items()}
    shape = {"vocab_size": 320, "d_model": 64, "max_position_embeddings": 64, "init_std": 0.08, **layers}
    BartForConditionalGeneration(BartConfig(**shape)).save_pretrained(tmp_path / "mine")
    tokenizer.save_pretrained(tmp_path / "mine")
    return tmp_path / "mine"


STUDENTS = "sweep.students=[{scheme: 8-8-8, depth: 2-2}]"
SIZES = {"layers": 2, "ffn_dim": 128, "attention_heads": 4}


def without_padding(folder):
    path = folder / "tokenizer_config.json"
    path.write_text(
        json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "pad_token"})
    )


MISTAKES = {
    "pickles": (lambda folder: (folder / WEIGHTS).rename(folder / "pytorch_model.bin"), "only pytorch_model.bin"),
    "a wrapped model": (
        lambda folder: set_tensors(folder, lambda ts: {f"module.{n}": t for n, t in ts.items()}),
        "lacks",
    ),
    "no padding": (without_padding, "has no pad_token"),
    "two paddings": (lambda folder: set_config(folder, pad_token_id=7), "pad_token_id is 7"),
    "padding that is no token": (lambda folder: set_config(folder, pad_token_id=320), "pad_token_id is 320"),
    "a start that is no token": (lambda folder: set_config(folder, decoder_start_token_id=320), "is 320"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_folder_that_cannot_be_used_is_refused_before_data_are_read(job, folder, tmp_path, mistake):
    """Under the name that the user gave it, not that of a copy."""
    make, said = MISTAKES[mistake]
    make(folder)
    code, _, err = job("dq_sweep", run, f"model.pretrained={folder}", STUDENTS, f"storage.path={tmp_path / 'runs'}")
    assert code == 2 and said in " ".join(err.split()) and str(folder) in err.replace("\n", "")
    written = {path.name for path in (tmp_path / "runs").glob("cache/*")}
    assert not written & {"models", "tokens", "tokenizers"}


def test_answers_end_though_the_tokenizer_ends_no_texts(job, folder, tmp_path):
    """The end token is appended, and said to be: the model learns to write three words and to stop."""
    path = folder / "tokenizer.json"
    state = json.loads(path.read_text())
    state["post_processor"] = json.loads(processors.ByteLevel(trim_offsets=False).__getstate__())
    path.write_text(json.dumps(state))
    arguments = [f"model.pretrained={folder}", f"storage.path={tmp_path / 'runs'}", "student.max_steps=0"]
    arguments += [STUDENTS, "teacher.epochs=20", "teacher.learning_rate=3e-3"]
    code, out, err = job("dq_sweep", run, *arguments)
    assert code == 0, err
    assert err.count("</s> is appended to every source and target") == 1
    [student] = json.loads(out.splitlines()[-1])["students"]
    assert student["metrics"]["test_length_ratio"] < 1.5  # without an end: twelve tokens, more than three times as many
    assert student["metrics"]["test_empty_predictions"] == 0
