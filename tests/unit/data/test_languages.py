"""Language codes: where mBART's tokenizers write them, and what decoding starts with."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import sentencepiece
import torch
from datasets import Dataset
from transformers import MarianTokenizer, MBart50Tokenizer, MBartTokenizer

from pipeline.config.errors import UserError
from pipeline.config.sections.model import ArchitectureConfig, ModelConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.data.languages import decoding_start, usable_languages
from pipeline.data.tokenise import load_tokenizer, tokenise
from pipeline.evaluation.generate import generation_config
from pipeline.models.load import load_model, load_teacher

TASK = TaskConfig(source_language="en_XX", target_language="ro_RO", max_source_tokens=6, max_target_tokens=5)


@pytest.fixture(params=[MBartTokenizer, MBart50Tokenizer], ids=["mbart", "mbart50"])
def tokenizer(request):
    """A multilingual tokenizer whose only words are `a`, `b` and `c`."""
    plain = request.param()
    known = ["<s>", "<pad>", "</s>", "<unk>", "▁a", "▁b", "▁c", *plain.all_special_tokens[5:]]
    return request.param(vocab=[(token, 0.0) for token in dict.fromkeys([*known, "<mask>"])])


def ids_of(tokenizer, folder, task=TASK):
    """Source and label tokens of a short and a long example, as text."""
    split = Dataset.from_dict({"source": ["a b", "a b c a b c a"], "target": ["c", "c b a c b a"]})
    rows = tokenise(SimpleNamespace(splits={"train": split}), task, tokenizer, folder)["train"].examples
    return [[tokenizer.convert_ids_to_tokens(ids) for ids in rows[column][:]] for column in ("input_ids", "labels")]


def test_codes_stand_where_the_family_has_them_and_survive_a_cut(tokenizer, tmp_path):
    """mBART: last token of the source, first token of the decoder; mBART-50: first token of both."""
    sources, labels = ids_of(tokenizer, tmp_path)
    if type(tokenizer) is MBartTokenizer:
        assert sources == [["▁a", "▁b", "</s>", "en_XX"], ["▁a", "▁b", "▁c", "▁a", "</s>", "en_XX"]]
        assert labels == [["▁c", "</s>"], ["▁c", "▁b", "▁a", "▁c", "</s>"]]
        expected = {"decoder_start_token_id": "ro_RO"}
    else:
        assert sources == [["en_XX", "▁a", "▁b", "</s>"], ["en_XX", "▁a", "▁b", "▁c", "▁a", "</s>"]]
        assert labels == [["ro_RO", "▁c", "</s>"], ["ro_RO", "▁c", "▁b", "▁a", "</s>"]]
        expected = {"first_target_token_id": "ro_RO"}
    start = decoding_start(tokenizer, TASK)
    assert {name: tokenizer.convert_ids_to_tokens(token) for name, token in start.items()} == expected


def test_the_teacher_decodes_from_the_code(tokenizer, tmp_path):
    """It is in the model's configuration, also in the saved one, and so in every student's."""
    shape = ArchitectureConfig(d_model=16, ffn_dim=16, num_heads=2, encoder_layers=1, decoder_layers=1)
    teacher = load_teacher(ModelConfig(family="mbart", architecture=shape), tokenizer, TASK, seed=0)
    teacher.save_pretrained(tmp_path)
    config = generation_config(load_model(tmp_path, torch.device("cpu")).config, TASK.decoding)
    code = tokenizer.convert_tokens_to_ids("ro_RO")
    assert code in (config.decoder_start_token_id, config.forced_bos_token_id)


@pytest.mark.parametrize("languages", [(None, "ro_RO"), ("en_XX", None), ("en_XX", "klingon"), ("en", "ro_RO")])
def test_missing_and_unknown_codes_are_refused(tokenizer, languages):
    """With codes that there are."""
    task = replace(TASK, source_language=languages[0], target_language=languages[1])
    with pytest.raises(UserError, match="ar_AR"):
        usable_languages(tokenizer, task)


def test_codes_that_nobody_reads_are_left_out_and_it_is_said(tiny_tokenizer):
    """BART's tokenizer has no languages; a translation task is one task for all families."""
    assert usable_languages(tiny_tokenizer, TaskConfig()) == (TaskConfig(), False)
    assert usable_languages(tiny_tokenizer, TASK) == (replace(TASK, source_language=None, target_language=None), True)


def test_marian_s_two_sentence_pieces_write_sources_and_targets(tmp_path):
    """A folder with two sentence-piece models and one vocabulary is read; targets go through the second."""
    texts = {"source": ["read a file", "write a row"] * 20, "target": ["citește un fișier", "scrie un rând"] * 20}
    vocabulary = {"</s>": 0, "<unk>": 1, "<pad>": 2}
    for column, sentences in texts.items():
        prefix = str(tmp_path / column)
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences), model_prefix=prefix, vocab_size=26, minloglevel=2, hard_vocab_limit=False
        )
        model = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
        for piece in (model.id_to_piece(i) for i in range(model.get_piece_size())):
            vocabulary.setdefault(piece, len(vocabulary))
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    spoken = MarianTokenizer(
        str(tmp_path / "source.model"), str(tmp_path / "target.model"), str(tmp_path / "vocab.json")
    )
    spoken.save_pretrained(tmp_path / "marian")
    tokenizer = load_tokenizer(ModelConfig(tokenizer=str(tmp_path / "marian")))
    split = Dataset.from_dict({column: sentences[:2] for column, sentences in texts.items()})
    rows = tokenise(SimpleNamespace(splits={"train": split}), TaskConfig(), tokenizer, tmp_path / "tokens")["train"]
    assert [tokenizer.decode(ids, skip_special_tokens=True) for ids in rows.examples["labels"][:]] == texts["target"][
        :2
    ]
    assert all(ids[-1] == 0 for column in ("input_ids", "labels") for ids in rows.examples[column][:])
