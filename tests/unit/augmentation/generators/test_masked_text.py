"""Texts with masks, by hand."""

import pytest
from hub_folders.bert_like import bert, roberta
from transformers import AutoTokenizer

from pipeline.augmentation.generators.masked_text import MaskedText, Vocabulary


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """Of BERT and of RoBERTa."""
    folder = tmp_path_factory.mktemp("tokenizers")
    return [AutoTokenizer.from_pretrained(make(folder / make.__name__)) for make in (bert, roberta)]


def allowed(tokenizer, text, number):
    """The tokens that may stand for a mask of a text."""
    vocabulary = Vocabulary.of(tokenizer)
    told = MaskedText(text.replace("#", tokenizer.mask_token), 0, tokenizer).allowed(number, vocabulary)
    return {tokenizer.convert_ids_to_tokens(token) for token in told.nonzero().flatten().tolist()}


def test_words_begin_where_words_begin(tokenizers):
    """Behind a space no half words; at the beginning of a text and in scripts without spaces what can begin a text."""
    for text, number in (("a #", 0), ("a # # b #", 2)):
        assert not any(token.startswith("##") for token in allowed(tokenizers[0], text, number))
        assert all(token.startswith("Ġ") for token in allowed(tokenizers[1], text, number))
    for text in ("#", "我#"):
        assert not any(token.startswith("##") for token in allowed(tokenizers[0], text, 0))
        assert {token.startswith("Ġ") for token in allowed(tokenizers[1], text, 0)} == {True, False}
    assert any(token.startswith("##") for token in allowed(tokenizers[0], "a # #", 1))


def test_special_tokens_are_never_words(tokenizers):
    """Nor is what is no text: parts of characters, spare tokens."""
    for tokenizer in tokenizers:
        for text, number in (("a #", 0), ("#", 0), ("# #", 1)):
            tokens = allowed(tokenizer, text, number)
            assert tokens and not tokens & set(tokenizer.all_special_tokens) and "Ã" not in tokens


def test_where_only_the_mark_is_marked_anything_may_begin_a_word():
    """A vocabulary of letters; the mark alone is no text."""
    tokens = ["<mask>", "▁", "a", "b"]

    class Letters:
        all_special_ids = (0,)

        def __len__(self):
            return len(tokens)

        def convert_ids_to_tokens(self, ids):
            return [tokens[token] for token in ids]

        def decode(self, ids):
            return tokens[ids[0]].replace("▁", " ")

    vocabulary = Vocabulary.of(Letters())
    assert vocabulary.usable.tolist() == [False, False, True, True]
    assert (vocabulary.usable & vocabulary.begins).tolist() == [False, False, True, True]


def test_half_words_are_joined_to_the_word_before(tokenizers):
    """Within a span; its space is lost with the mask that stood for half a word."""
    bert_tokens, roberta_tokens = tokenizers
    for tokenizer, tokens in ((bert_tokens, ["river", "##s", "green"]), (roberta_tokens, ["Ġthe", "s", "Ġis"])):
        text = MaskedText("A  # # #!".replace("#", tokenizer.mask_token), 0, tokenizer)
        for number, token in enumerate(tokens):
            text.put(number, tokenizer.convert_tokens_to_ids(token))
        assert text.filled(Vocabulary.of(tokenizer)) in ("A  rivers green!", "A  thes is!")
