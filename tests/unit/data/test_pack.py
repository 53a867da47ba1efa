"""Packing: every token once, in its order, in sequences of full length, whatever tokenizer frames them."""

from itertools import chain

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from pipeline.config.errors import UserError
from pipeline.config.sections.task import TaskConfig
from pipeline.data import pack
from pipeline.data.corpora import Corpus
from pipeline.data.pack import frame_of, packed, separator_of, windows
from pipeline.data.tokenise import tokenise, train_tokenizer

TEXTS = ["a small river", "b", "the bird sits on a red tree and sings of a blue cloud", "fish", "the end"]


def task(length, **more):
    return TaskConfig(objective="masked_lm", packed=True, max_source_tokens=length, **more)


@pytest.fixture(scope="module")
def byte_level():
    """As this project trains them: framed by <s> and </s>, no separator of their own."""
    return train_tokenizer(TEXTS, 300)


@pytest.fixture(scope="module")
def word_piece():
    """BERT's kind: [CLS] text [SEP]."""
    words = sorted({word for text in TEXTS for word in text.split()})
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, mask_token="[MASK]", **names)


@given(st.lists(st.lists(st.integers(0, 9), max_size=20), max_size=12), st.integers(1, 9))
def test_windows_hold_every_token_once_and_are_full_but_for_the_last(texts, room):
    """However texts and windows lie to each other."""
    found = list(windows(iter(texts), room))
    assert list(chain.from_iterable(found)) == list(chain.from_iterable(texts))
    assert all(len(window) == room for window in found[:-1])
    assert all(0 < len(window) <= room for window in found)


@pytest.mark.parametrize("kind", ["byte_level", "word_piece"])
@pytest.mark.parametrize("length", [3, 7, 512])
def test_a_split_is_its_texts_with_a_separator_between_them(request, tmp_path, kind, length):
    """Taken out of their frames and put together again; labels are the tokens, and nothing counts as cut."""
    tokenizer = request.getfixturevalue(kind)
    rows = packed(Dataset.from_dict({"source": TEXTS}), task(length), tokenizer, tmp_path)
    before, after = frame_of(tokenizer)
    assert (len(before), len(after)) == (1, 1) and [*before, *after] == tokenizer("")["input_ids"]
    inner = [row[1:-1] for row in rows["input_ids"]]
    assert all(row[:1] == before and row[-1:] == after for row in rows["input_ids"])
    apart = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    separator = separator_of(tokenizer)
    joined = [token for number, ids in enumerate(apart) for token in ([separator, *ids] if number else ids)]
    assert list(chain.from_iterable(inner)) == joined
    assert [len(row) for row in rows["input_ids"][:-1]] == [length] * (len(rows) - 1)
    assert rows["labels"][:] == rows["input_ids"][:]
    assert rows["source_tokens"][:] == rows["uncut_source_tokens"][:] == [len(row) for row in rows["input_ids"]]
    assert not any(rows["source_cut"]) and not any(rows["target_cut"])
    assert not list(tmp_path.iterdir())  # the file has lost its name


def test_texts_are_read_a_few_at_a_time(byte_level, tmp_path, monkeypatch):
    """Sequences run on over the ends of what is read at once."""
    split = Dataset.from_dict({"source": TEXTS})
    whole = packed(split, task(8), byte_level, tmp_path)["input_ids"][:]
    monkeypatch.setattr(pack, "TEXTS_AT_ONCE", 2)
    assert packed(split, task(8), byte_level, tmp_path)["input_ids"][:] == whole


def test_packed_splits_are_kept_like_others(byte_level, tmp_path):
    """Written once, with the columns that training and summaries ask for."""

    corpus = Corpus(splits={"train": Dataset.from_dict({"source": TEXTS, "target": TEXTS})}, fingerprint="")
    found = tokenise(corpus, task(8), byte_level, tmp_path / "tokens")["train"]
    assert (found.num_cut_sources, found.num_cut_targets) == (0, 0)
    assert found.lengths()[0] == (8, 1) and found.examples["source"][0].strip().startswith("a small")
    again = tokenise(corpus, task(8), byte_level, tmp_path / "tokens")["train"]
    assert again.examples["input_ids"][:] == found.examples["input_ids"][:]


def test_what_cannot_be_packed_is_refused(byte_level, tmp_path):
    """No room between the frame's tokens; a task whose targets are others; nothing to put between texts."""
    with pytest.raises(UserError, match=r"max_source_tokens=2 with task.packed=true.*at least 3"):
        packed(Dataset.from_dict({"source": TEXTS}), task(2), byte_level, tmp_path)
    with pytest.raises(UserError, match=r"task.packed=true with task.objective=supervised"):
        TaskConfig(packed=True)

    class Nothing:
        sep_token_id = eos_token_id = None

    with pytest.raises(UserError, match=r"neither a separator nor an end token"):
        separator_of(Nothing())
