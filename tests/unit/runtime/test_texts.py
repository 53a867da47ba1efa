"""The runtime's tokenizer gives the ids and texts of transformers, for every kind of tokenizer and odd texts."""

import random

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from pipeline.config.errors import UserError
from pipeline.config.sections.task import TaskConfig
from pipeline.data.tokenise import tokenised_sources
from pipeline.runtime.texts import TextTokenizer

TEXTS = [
    *("", " ", "\n\t ", "Read a file from disk.", "  two  spaces \u00a0 and\u3000more  ", "naïve café — “quotes” …"),
    *(
        "漢字かな交じり文 과 한글",
        "👩‍👩‍👧‍👦 family 🇷🇴 \u0301combining",
        "e\u0301 vs é",
        "zero\x00byte \x1b[0m \u200b\ufeff",
    ),
    *(
        "a" + "</s>" * 90,
        "a b" + "[SEP]" * 90,
        "</s> a special <s> token <pad> [SEP] inside",
        "word " * 900,
        "x" * 3000,
        "don't can't , . ! ?",
        "A\r\nB",
    ),
]
# transformers needs minutes to cut pairs of very long texts.
PAIRS = ["short", "", "word " * 60, "x" * 40, *(text for text in TEXTS[3:] if len(text) < 200)]


def bert():
    """Word pieces, lower case, token types."""
    letters = "abcdefghijklmnopqrstuvwxyz'.,!?"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{c}" for c in letters), "word", "file", "##ile"]
    backend = Tokenizer(models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=inputs, **names)


def sentence_pieces():
    """Pieces with a mark for spaces, as T5 and Marian have them; what is unknown falls back to bytes."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), *((f"<0x{byte:02X}>", -8.0) for byte in range(256))]
    pieces += [(text, -3.0) for text in ["▁", *"abcdefghijklmnopqrstuvwxyzADRW.", "▁word", "▁a", "▁file", "re"]]
    backend = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    backend.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


@pytest.fixture(params=["byte pairs", "word pieces", "sentence pieces"])
def tokenizer(request, tiny_tokenizer):
    return {"byte pairs": lambda: tiny_tokenizer, "word pieces": bert, "sentence pieces": sentence_pieces}[
        request.param
    ]()


@pytest.fixture
def ours(tokenizer, tmp_path):
    """Makes the runtime's tokenizer of the same file: `ours(prefix, limit)`."""
    tokenizer.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    return lambda prefix="", limit=1024: TextTokenizer(tmp_path / "tokenizer.json", prefix, limit)


@pytest.mark.parametrize("limit", [2, 3, 7, 64, 100_000])
@pytest.mark.parametrize("prefix", ["", "summarise: "])
def test_texts_become_the_ids_of_the_evaluation(tokenizer, ours, prefix, limit):
    """With the prefix in front; what is too long loses its end and keeps its special tokens; cuts are counted."""
    task = TaskConfig(source_prefix=prefix, max_source_tokens=limit)
    expected = tokenised_sources(TEXTS, None, tokenizer, task).to_dict()
    found = ours(prefix, limit).tokenise(TEXTS)
    assert found.ids == expected["input_ids"]
    assert found.cut == expected["source_cut"]
    assert found.types is None
    assert any(found.cut) == (limit < 100_000)
    assert max(map(len, found.ids)) <= limit


@pytest.mark.parametrize("limit", [5, 6, 16, 17, 100_000])
def test_pairs_become_the_ids_of_the_evaluation(tokenizer, ours, limit):
    """The longer text loses its end; token types as the tokenizer says."""
    task, second = TaskConfig(max_source_tokens=limit), PAIRS[::-1]
    expected = tokenised_sources(PAIRS, second, tokenizer, task).to_dict()
    found = ours(limit=limit).tokenise(PAIRS, second)
    assert found.ids == expected["input_ids"]
    assert found.cut == expected["source_cut"]
    if "token_type_ids" in expected:
        assert found.types == expected["token_type_ids"]


def test_a_limit_that_leaves_nothing_of_a_pair_is_refused(ours):
    """As it is in training."""
    with pytest.raises(UserError, match="pairs of texts for a model that takes 1 tokens"):
        ours(limit=1).tokenise(["a word"], ["another word"])


def drawn(tokenizer, num_rows=60):
    """Random token ids: most of them are no text that anybody would write."""
    draw = random.Random(0)
    return [[draw.randrange(len(tokenizer)) for _ in range(draw.randint(0, 25))] for _ in range(num_rows)]


def test_ids_become_the_texts_of_the_evaluation(tokenizer, ours):
    """Random tokens, special ones among them, bytes that are no character."""
    rows = [*drawn(tokenizer), *(tokenizer(text)["input_ids"] for text in TEXTS)]
    expected = [text.strip() for text in tokenizer.batch_decode(rows, skip_special_tokens=True)]
    assert [ours().text(row) for row in rows] == expected


def test_pieces_of_a_text_are_the_whole_text(tokenizer, ours, caplog):
    """Also where a character spans several tokens: nothing is given out that a later token changes."""
    reader = ours()
    for row in [*drawn(tokenizer), *(tokenizer(text)["input_ids"][:200] for text in TEXTS)]:
        pieces = list(reader.pieces(iter(row)))
        assert "".join(pieces) == reader.text(row)
        assert all(pieces)
    assert not caplog.records


def test_pieces_come_as_soon_as_they_are_certain(tokenizer, ours):
    """A word is there before the next one is."""
    ids, reader = tokenizer("a file a word a file")["input_ids"], ours()
    given = []

    def tokens():
        for token in ids:
            yield token
            given.append(list(said))

    said = []
    for piece in reader.pieces(tokens()):
        said.append(piece)
    assert len({len(step) for step in given}) > 4


@pytest.mark.parametrize("content", ["", "{", "{}", '{"version": "1.0", "model": 3}'])
def test_what_is_no_tokenizer_is_refused_by_name(tmp_path, content):
    """Damaged, or another file."""
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        TextTokenizer(tmp_path / "tokenizer.json", "", 9)
