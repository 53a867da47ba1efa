"""Tokenizer and model belong together, whatever either of them leaves out: known before any worker starts."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from folders import set_config
from hub_folders.marian import marian_two_vocabularies
from teachers import random_teacher
from tokenizers import processors
from transformers import (
    AutoConfig,
    ByT5Tokenizer,
    GenerationConfig,
    MarianConfig,
    MarianMTModel,
    PreTrainedTokenizerFast,
)

from pipeline.benchmarking.engines.torch_engine import load
from pipeline.config.errors import UserError
from pipeline.config.sections.model import ModelConfig
from pipeline.config.sections.task import DecodingConfig, TaskConfig
from pipeline.data.batch import collate
from pipeline.data.corpora import Corpus
from pipeline.data.tokenise import load_tokenizer, tokenise
from pipeline.evaluation.generate import generate_ids, generation_config
from pipeline.export.onnx.tokenizer import fast_tokenizer
from pipeline.models.families import families, family_named
from pipeline.models.fit import check_fit, fit
from pipeline.models.forward import start_token
from pipeline.models.load import load_teacher, teacher_config
from pipeline.models.special_tokens import special_tokens

TASK, CLASSES = TaskConfig(), TaskConfig(objective="classification", metric="accuracy")
BOS, PAD, END, OTHER = 0, 1, 2, 300
GENERATING = sorted(name for name in families() if family_named(name).decoder)
NAMES = ("bos_token_id", "pad_token_id", "eos_token_id", "decoder_start_token_id", "forced_eos_token_id")


@pytest.fixture
def make_folder(tiny_tokenizer, tmp_path):
    """A folder of a random model of a family with its tokenizer, some settings left out, others changed."""

    def make(name, *left_out, **settings):
        random_teacher(family_named(name), tiny_tokenizer).save_pretrained(tmp_path)
        (tmp_path / "generation_config.json").unlink(missing_ok=True)
        tiny_tokenizer.save_pretrained(tmp_path)
        set_config(tmp_path, *left_out, **settings)
        return ModelConfig(pretrained=str(tmp_path))

    return make


def fitted(model, task=TASK, **tokens):
    """(tokenizer, what has been changed) of a folder; `tokens` are changed in the tokenizer first."""
    tokenizer = load_tokenizer(model)
    for name, token in tokens.items():
        setattr(tokenizer, name, token)
    return tokenizer, fit(model, tokenizer, task)


def refused(model, *said, task=TASK, **tokens):
    with pytest.raises(UserError) as caught:
        fitted(model, task, **tokens)
    assert all(words in str(caught.value) for words in said), caught.value


@pytest.mark.parametrize("left_out", [(), ("bos_token_id",), NAMES])
@pytest.mark.parametrize("given", ["left out", "null", "no ends"])
@pytest.mark.parametrize("name", GENERATING)
def test_what_a_configuration_need_not_name_is_known(make_folder, name, left_out, given):
    """Ends and padding from the tokenizer, the start as the family documents it; a batch and a text can be made."""
    settings = dict.fromkeys(left_out) if given == "null" else {}
    if given == "no ends":
        settings["eos_token_id"] = []
    if name == "marian":
        settings.pop("decoder_start_token_id", None)  # transformers itself refuses a null here
    if name == "mbart":
        settings["decoder_start_token_id"] = END  # a language code: nobody else knows it
    model = make_folder(name, *left_out, **settings)
    tokenizer, changes = fitted(model)
    teacher = load_teacher(model, tokenizer, TASK, 0).eval()
    tokens = special_tokens(teacher.config)
    start = END if family_named(name).start in ("eos_token_id", None) else PAD
    assert (tokens.pad, tokens.ends, start_token(teacher.config), changes) == (PAD, (END,), start, [])
    batch = collate([[5, 6, END], [7, END]], [[8, END], [9, 10, END]], tokens.pad, start_token(teacher.config))
    assert teacher(**batch.inputs).logits.isfinite().all()
    said = generate_ids(teacher, [[5, 6, END]], tokens.pad, DecodingConfig(num_beams=2, max_length=6))
    assert said[0, 0] == start and said.shape[1] <= 6
    decoding = generation_config(teacher.config, TASK.decoding)
    assert decoding.bos_token_id == (BOS if "bos_token_id" not in left_out else special_tokens(teacher.config).bos)


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_classifier_needs_padding_alone(make_folder, name):
    """Which its configuration need not name."""
    model = make_folder(name, *NAMES, pad_token_id=None)
    tokenizer, changes = fitted(model, CLASSES)
    assert special_tokens(teacher_config(model, tokenizer, CLASSES)).pad == PAD and changes == []
    assert start_token(teacher_config(model, tokenizer, CLASSES)) is None


@pytest.mark.parametrize(("ends", "known"), [(7, (END, 7)), ([END, 7, 9], (END, 7, 9)), (END, (END,)), (None, (END,))])
def test_generation_settings_may_name_further_ends(make_folder, ends, known):
    """Texts are taught to end in the first and end in any."""
    model = make_folder("t5")
    GenerationConfig(eos_token_id=ends).save_pretrained(model.pretrained)
    tokenizer, changes = fitted(model)
    assert special_tokens(teacher_config(model, tokenizer, TASK)).ends == known and changes == []


def test_generation_settings_may_name_the_start(make_folder):
    """A folder of today may have it there alone."""
    model = make_folder("mbart", "decoder_start_token_id")
    GenerationConfig(decoder_start_token_id=7).save_pretrained(model.pretrained)
    tokenizer, _ = fitted(model)
    assert start_token(teacher_config(model, tokenizer, TASK)) == 7


def test_a_start_that_nobody_names_is_refused(make_folder):
    """mBART's depends on the language: with the settings that say it."""
    refused(make_folder("mbart", decoder_start_token_id=None), "decoder_start_token_id", "task.target_language")


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("name", GENERATING)
def test_each_of_several_ends_ends_a_text(make_folder, name, num_beams):
    """A list of ends is read as one; the first is the one that the tokenizer writes."""
    model = make_folder(name, eos_token_id=[END, OTHER])
    tokenizer, _ = fitted(model)
    teacher = load_teacher(model, tokenizer, TASK, 0).eval()
    assert special_tokens(teacher.config).ends == (END, OTHER)
    bias = torch.zeros(1, teacher.config.vocab_size)
    bias[:, OTHER] = 1e4
    teacher.lm_head.register_forward_hook(lambda module, given, logits: logits + bias)
    said = generate_ids(teacher, [[5, 6, END]], PAD, DecodingConfig(num_beams=num_beams, min_length=1, max_length=9))
    assert said.tolist() == [[start_token(teacher.config), OTHER]]


@pytest.mark.parametrize("ends", [END, [END, OTHER]])
@pytest.mark.parametrize("name", ["bart", "pegasus", "t5"])
def test_the_torch_runtime_samples_whatever_is_named(make_folder, name, ends):
    """transformers on a folder that names no first token, and perhaps several ends."""
    model = make_folder(name, "bos_token_id", eos_token_id=ends)
    sample = load(Path(model.pretrained), 1).sample(np.array([[5, 6, END]]), 4)
    assert sample.tokens.shape == (1, 4) and not np.isin(sample.tokens[:, :-1], ends).any()


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_a_text_ends_where_padding_start_and_end_are_one_token(make_folder, name):
    """A token that ends texts is generated, though it also starts them and fills rows."""
    model = make_folder(name, pad_token_id=END, decoder_start_token_id=END)
    tokenizer, _ = fitted(model, pad_token="</s>")
    teacher = load_teacher(model, tokenizer, TASK, 0).eval()
    bias = torch.zeros(1, teacher.config.vocab_size)
    bias[:, END] = 1e4
    teacher.lm_head.register_forward_hook(lambda module, given, logits: logits + bias)
    said = generate_ids(teacher, [[5, 6, END]], END, DecodingConfig(num_beams=2, min_length=1, max_length=9))
    assert said.tolist() == [[END, END]]


@pytest.mark.parametrize(("name", "task"), [("bart", TASK), ("t5", TASK), ("bert", CLASSES)])
def test_a_tokenizer_without_padding_is_refused(make_folder, name, task):
    """With the token to be named."""
    refused(make_folder(name), "has no pad_token", "tokenizer_config.json", task=task, pad_token=None)


def test_a_tokenizer_of_a_model_from_scratch_needs_an_end(tiny_tokenizer, tmp_path):
    """A configuration made from it could name none."""
    tiny_tokenizer.save_pretrained(tmp_path)
    model = ModelConfig(tokenizer=str(tmp_path))
    assert fitted(model)[1] == []
    refused(model, "has no eos_token", eos_token=None)


@pytest.mark.parametrize(
    ("name", "setting", "task"),
    [("bart", "pad_token", TASK), ("t5", "eos_token", TASK), ("roberta", "pad_token", CLASSES)],
)
def test_two_numbers_for_one_token_are_refused(make_folder, name, setting, task):
    """With both, and which of them to change."""
    known = {"pad_token": PAD, "eos_token": END}[setting]
    model = make_folder(name, **{f"{setting}_id": OTHER})
    refused(model, f"{setting}_id is {OTHER}", f"{known} in its tokenizer", "model.tokenizer", task=task)


@pytest.mark.parametrize("setting", ["decoder_start_token_id", "eos_token_id"])
def test_tokens_outside_the_vocabulary_are_refused(make_folder, setting):
    """A decoder that starts with a token that has no vector."""
    number = 320 if setting == "decoder_start_token_id" else [END, 320]
    refused(make_folder("bart", **{setting: number}), f"{setting} is 320", "320 tokens")


def test_a_start_that_is_a_list_is_refused(make_folder):
    """Decoding starts with one token."""
    refused(make_folder("t5", decoder_start_token_id=[PAD]), "decoder_start_token_id")


def test_more_tokens_than_vectors_are_refused(make_folder):
    """Also where the vocabulary has gaps, so that it is smaller than its largest number."""
    model = make_folder("bart")
    tokenizer = load_tokenizer(model)
    tokenizer.add_tokens(["⟨new⟩"])
    with pytest.raises(UserError, match="320 embeddings for a tokenizer of 321 tokens"):
        fit(model, tokenizer, TASK)


@pytest.fixture
def two(tmp_path):
    """Changes a folder with two vocabularies of 45 words: `two(rows of the targets' table, **words)`."""
    folder = marian_two_vocabularies(tmp_path / "two")

    def change(rows=45, **words):
        set_config(folder, decoder_vocab_size=rows)
        vocabulary = json.loads((folder / "target_vocab.json").read_text()) | words
        (folder / "target_vocab.json").write_text(json.dumps(vocabulary))
        return ModelConfig(pretrained=str(folder))

    return change


def test_two_vocabularies_need_not_be_of_one_size(two):
    """Each has a table; a token more than rows is refused where it is."""
    assert fitted(two())[1] == fitted(two(rows=50, more=45))[1] == []
    refused(two(rows=45), "45 embeddings for a tokenizer of 46 tokens of targets")


@pytest.mark.parametrize("token", ["</s>", "<pad>"])
def test_two_vocabularies_agree_in_their_special_tokens(two, token):
    """A model's configuration has one number for both."""
    refused(two(rows=50, **{token: 46}), f"{token} is", "and 46 in targets", "one number for both")


def test_one_vocabulary_for_two_tables_is_refused(tiny_tokenizer, two, tmp_path):
    """Unless both have the size that the tokenizer needs; two vocabularies for one table are always refused."""
    shape = random_teacher(family_named("marian"), tiny_tokenizer).config.to_dict()
    tiny_tokenizer.save_pretrained(tmp_path)
    for rows in (320, 330):
        apart = {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": rows}
        MarianMTModel(MarianConfig(**shape | apart)).save_pretrained(tmp_path)
        model = ModelConfig(pretrained=str(tmp_path))
        if rows == 320:
            assert fitted(model)[1] == []
        else:
            refused(model, "do not both have a vocabulary for sources and another for targets")
    model = two()
    set_config(tmp_path / "two", share_encoder_decoder_embeddings=True)
    with pytest.raises(UserError, match="do not both have"):
        check_fit(AutoConfig.from_pretrained(tmp_path / "two"), load_tokenizer(model), "two")


LAST_STEPS = {
    "nothing": None,
    "byte level": processors.ByteLevel(trim_offsets=False),
    "a first token": processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)]),
    "both": processors.Sequence(
        [processors.ByteLevel(), processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])]
    ),
}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("before", LAST_STEPS)
def test_a_tokenizer_that_ends_no_texts_does_so_from_now_on(make_folder, tmp_path, before, named):
    """Sources and targets, also cut ones, in transformers, as saved, and in the tokenizers library."""
    model = make_folder("bart")
    tokenizer = load_tokenizer(model)
    tokenizer.backend_tokenizer.post_processor = LAST_STEPS[before] or processors.Sequence([])
    names = {"pad_token": "<pad>", "unk_token": "<unk>"} | ({"eos_token": "</s>"} if named else {})
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, **names)
    [change] = fit(model, tokenizer, TASK)
    assert "</s> is appended" in change and fit(model, tokenizer, TASK) == []
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    saved = load_tokenizer(ModelConfig(tokenizer=str(tmp_path / "tokenizer")))
    texts = {"source": ["read a file", "read " * 50], "target": ["a file", "file " * 50]}
    corpus = Corpus(splits={"train": Dataset.from_dict(texts)}, fingerprint="x")
    task = TaskConfig(max_source_tokens=20, max_target_tokens=9)
    rows = tokenise(corpus, task, saved, tmp_path / "tokens")["train"].examples
    for column, longest in (("input_ids", 20), ("labels", 9)):
        ids = rows[column][:]
        assert all(
            row[-1] == END and row.count(END) == 1 and (row[0] == BOS) == ("first" in before or before == "both")
            for row in ids
        )
        assert len(ids[1]) == longest
    assert fast_tokenizer(saved).encode("read a file").ids == rows["input_ids"][:][0]
    assert saved.decode(rows["labels"][:][0], skip_special_tokens=True).strip() == "a file"


class Endless(ByT5Tokenizer):
    """Bytes, and no end."""

    def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
        """The text alone."""
        return token_ids_0


@pytest.mark.parametrize("kind", ["another last token", "in Python"])
def test_a_tokenizer_that_cannot_end_texts_is_refused(make_folder, kind):
    """It ends them in a token that the model does not know as an end, or nothing can be appended to it."""
    if kind == "in Python":
        end, tokenizer = 1, Endless()
    else:
        end, tokenizer = OTHER, load_tokenizer(make_folder("bart"))
        tokenizer.eos_token = None  # what is left writes </s> all the same
    model = make_folder("bart", eos_token_id=end, pad_token_id=tokenizer.pad_token_id, vocab_size=400)
    with pytest.raises(UserError, match=rf"does not end texts in the model's end token {end} "):
        fit(model, tokenizer, TASK)
