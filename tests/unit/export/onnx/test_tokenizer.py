"""Every tokenizer of the project can leave transformers behind."""

import json
from types import SimpleNamespace

import pytest
import sentencepiece
from hub_folders.files import ENGLISH, ROMANIAN
from hub_folders.marian import marian, marian_two_vocabularies
from transformers import AutoTokenizer, BertTokenizer, MarianTokenizer

from pipeline.config.errors import UserError
from pipeline.export.onnx.tokenizer import SAMPLES, fast_target_tokenizer, fast_tokenizer

SENTENCES = {
    "source": ["read a file from disk, line by line", "write 12 rows; then stop.", *SAMPLES] * 20,
    "target": ["citește un fișier de pe disc", "scrie 12 rânduri, apoi oprește-te."] * 20,
}


@pytest.fixture
def make_marian(tmp_path):
    """Marian's tokenizer with two sentence-piece models; some pieces of the first may be left out."""

    def make(left_out=0, kind="unigram", sentences=SENTENCES):
        vocabulary = {"</s>": 0, "<unk>": 1, "<pad>": 2, ">>ro<<": 3}
        for side, texts in sentences.items():
            prefix = str(tmp_path / side)
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts),
                model_prefix=prefix,
                vocab_size=150,
                minloglevel=2,
                hard_vocab_limit=False,
                model_type=kind,
            )
            model = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
            pieces = [model.id_to_piece(i) for i in range(model.get_piece_size())]
            for piece in pieces[: len(pieces) - left_out]:
                vocabulary.setdefault(piece, len(vocabulary))
        (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
        return MarianTokenizer(*(str(tmp_path / name) for name in ("source.model", "target.model", "vocab.json")))

    return make


TEXTS = [*SENTENCES["source"], *SENTENCES["target"], ">>ro<< read a file", "unseen: ŵ ẃ", " lead", "a  b   c", "\n"]


@pytest.mark.parametrize("text", dict.fromkeys(TEXTS))
def test_marian_s_sentence_pieces_are_read_alike(make_marian, text):
    """Token by token, also what it never saw."""
    slow = make_marian()
    assert fast_tokenizer(slow).encode(text).ids == slow(text)["input_ids"]


def test_marian_s_targets_are_written_alike(make_marian):
    """What the model says in the target language."""
    slow = make_marian()
    fast = fast_tokenizer(slow)
    for text in SENTENCES["target"][:2]:
        ids = slow(text_target=text)["input_ids"]
        assert fast.decode(ids, skip_special_tokens=True) == slow.decode(ids, skip_special_tokens=True)


def test_marian_may_have_seen_few_characters(make_marian):
    """An unknown one at an end leaves a space in one of them, which no answer has; other scripts are no obstacle."""
    slow = make_marian(sentences=SENTENCES | {"source": SENTENCES["target"]})
    fast = fast_tokenizer(slow)
    assert slow.unk_token_id in slow("日本語")["input_ids"]
    for text in SAMPLES:
        assert fast.encode(text).ids == slow(text)["input_ids"]


def test_two_vocabularies_become_two_tokenizers(tmp_path):
    """One reads sources, the other writes answers; a model with one vocabulary has no second."""
    slow = AutoTokenizer.from_pretrained(marian_two_vocabularies(tmp_path))
    reads, writes = fast_tokenizer(slow), fast_target_tokenizer(slow)
    for text in [*ENGLISH, *SAMPLES]:
        assert reads.encode(text).ids == slow(text)["input_ids"]
    for text in [*ROMANIAN, *SAMPLES]:
        ids = slow(text_target=text)["input_ids"]
        assert writes.decode(ids).strip() == slow.decode(ids, skip_special_tokens=True).strip()
    assert [writes.decode(slow(text_target=text)["input_ids"]) for text in ROMANIAN] == ROMANIAN
    assert fast_target_tokenizer(AutoTokenizer.from_pretrained(marian(tmp_path / "one"))) is None


@pytest.mark.parametrize(("options", "said"), [({"left_out": 9}, "lacks"), ({"kind": "bpe"}, "no unigram model")])
def test_what_cannot_be_followed_is_refused(make_marian, options, said):
    """Pieces that the vocabulary lacks, other kinds of models."""
    with pytest.raises(UserError, match=said):
        fast_tokenizer(make_marian(**options))


def test_a_tokenizer_of_another_kind_is_refused():
    """In Python, and no sentence pieces."""
    with pytest.raises(UserError, match="SimpleNamespace"):
        fast_tokenizer(SimpleNamespace())


def test_fast_tokenizers_stay_themselves(tiny_tokenizer):
    """Without a length that they were asked for once."""
    tiny_tokenizer("a text", truncation=True, max_length=3)
    assert fast_tokenizer(tiny_tokenizer).truncation is None


@pytest.mark.parametrize("tidy", [False, True])
def test_spaces_before_punctuation_go_where_they_went(tidy):
    """Word pieces are written as transformers writes them."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdehilnorstvwy.,!?'"]
    words += [f"##{letter}" for letter in "abcdehilnorstvwy"]
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(words)}, clean_up_tokenization_spaces=tidy)
    fast = fast_tokenizer(tokenizer)
    ids = tokenizer("well , it 's here ! isn't it ? yes .")["input_ids"]
    assert fast.decode(ids) == tokenizer.decode(ids, skip_special_tokens=True)
