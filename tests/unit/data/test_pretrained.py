"""Python files beside a model are never run, whatever standard input says, and nobody is asked on standard output."""

import io
import json

import pytest
from transformers import BartForConditionalGeneration

from pipeline.config.errors import UserError
from pipeline.config.sections.model import ModelConfig
from pipeline.data.foreign_code import check_folder_has_no_code
from pipeline.data.pretrained import read_config, read_generation_settings, read_model, read_tokenizer
from pipeline.data.tokenise import load_tokenizer
from pipeline.models.load import pretrained_config, read_model_config
from pipeline.models.starting_point import starting_point

CODE = """
from pathlib import Path
Path(__file__).with_name("canary").write_text("sung")
from transformers import BartConfig, PreTrainedTokenizerFast
class Config(BartConfig):
    model_type = "of_their_own"
class Tokenizer(PreTrainedTokenizerFast):
    pass
"""
READERS = {
    "configuration": read_config,
    "tokenizer": read_tokenizer,
    "generation settings": read_generation_settings,
    "model": lambda name: read_model(BartForConditionalGeneration, name),
    "teacher's configuration": lambda name: pretrained_config(str(name), None),
    "teacher": lambda name: read_model_config(ModelConfig(pretrained=str(name)), None),
    "teacher's tokenizer": lambda name: load_tokenizer(ModelConfig(pretrained=str(name))),
    "plan": lambda name: starting_point(ModelConfig(pretrained=str(name))),
}


@pytest.fixture
def folder(make_bart, tiny_tokenizer, tmp_path):
    """A model that transformers would read with the code beside it, had it leave to."""
    path = tmp_path / "model"
    make_bart(1, 1).save_pretrained(path)
    tiny_tokenizer.save_pretrained(path)
    (path / "own.py").write_text(CODE)
    return path


def say(folder, file, **changes):
    named = json.loads((folder / file).read_text()) | changes
    (folder / file).write_text(json.dumps(named))


@pytest.mark.parametrize("model_type", ["bart", "of_their_own"])
@pytest.mark.parametrize("reader", READERS)
def test_a_model_that_brings_code_is_refused_and_its_code_is_not_run(reader, model_type, folder, monkeypatch, capsys):
    """Also where transformers would not know what to do without it."""
    say(folder, "config.json", model_type=model_type, auto_map={"AutoConfig": "own.Config"})
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\ny\n" * 20))
    with pytest.raises(UserError, match=r"code of its own \(auto_map in config\.json\).*remove auto_map"):
        READERS[reader](folder)
    assert not list(folder.parent.rglob("canary")) and capsys.readouterr().out == ""


@pytest.mark.parametrize("reader", ["tokenizer", "teacher's tokenizer"])
def test_a_tokenizer_that_brings_code_is_refused(reader, folder, monkeypatch, capsys):
    """It has a file of settings of its own."""
    say(
        folder,
        "tokenizer_config.json",
        tokenizer_class="Tokenizer",
        auto_map={"AutoTokenizer": [None, "own.Tokenizer"]},
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\ny\n" * 20))
    with pytest.raises(UserError, match=r"auto_map in tokenizer_config\.json"):
        READERS[reader](folder)
    assert not list(folder.parent.rglob("canary")) and capsys.readouterr().out == ""


def test_kernels_of_a_repository_are_code_too(folder):
    """The name of an implementation may be that of a repository; plain names are not."""
    say(folder, "config.json", attn_implementation="someone/attention")
    with pytest.raises(UserError, match=r"attn_implementation in config\.json"):
        read_config(folder)
    say(folder, "config.json", attn_implementation="sdpa")
    assert read_config(folder).model_type == "bart"


def test_a_plain_folder_and_one_that_cannot_be_read_are_none_of_its_business(folder):
    """Who reads a damaged file says what is wrong with it."""
    check_folder_has_no_code(folder, "model")
    (folder / "config.json").write_text("{")
    (folder / "tokenizer_config.json").write_bytes(b"\xff")
    check_folder_has_no_code(folder, "model")


def test_what_is_left_is_read(folder, tiny_tokenizer):
    """The same folder without the code."""
    assert read_config(folder).d_model == 32
    assert len(read_tokenizer(folder)) == len(tiny_tokenizer)
    assert read_model(BartForConditionalGeneration, folder).config.encoder_layers == 1
