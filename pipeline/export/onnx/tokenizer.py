"""Any of the project's tokenizers as one of the tokenizers library, which is all that an exported folder has.

Most are one already. Marian's reads two sentence-piece models and one vocabulary in Python; it becomes a unigram model
with the vocabulary's numbers and the source model's scores. Of two vocabularies each becomes a model of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from pipeline.config.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

UNIGRAM = 1  # of sentence-piece's kinds of models
UNKNOWN_PENALTY = 10.0  # what a character that the model does not know costs more than its worst piece
HIDDEN = "\0"  # put before pieces of the target language, so that they are not found in a source
# What transformers' `clean_up_tokenization_spaces` replaces, in its order.
TIDY = {" .": ".", " ?": "?", " !": "!", " ,": ",", " ' ": "'", " n't": "n't"}
TIDY |= {f" '{end}": f"'{end}" for end in ("m", "s", "ve", "re")}
# Both must read and write these alike: case, marks, digits, other scripts, odd spaces, codes, nothing.
SAMPLES = (
    "A plain sentence, with commas; and more.",
    "  two  spaces\tand a tab ",
    'Prices: 1,234.56 € — "quoted" (or not)…',
    "Ein Überraschungsei für 3 Ä",
    "日本語 и русский ﬁne ½ ①",
    "x_1 = f(y) // 2 # ok?",
    "😀 done",
    "",
)


def fast_tokenizer(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """The tokenizer of the tokenizers library that reads and writes as this one does.

    Args:
        tokenizer: of transformers, in the languages of the task.

    Raises:
        UserError: there is none.
    """
    own, writes_too = getattr(tokenizer, "backend_tokenizer", None), not _has_targets(tokenizer)
    backend = _from_sentence_pieces(tokenizer) if own is None else Tokenizer.from_str(own.to_str())
    backend.no_truncation()
    backend.no_padding()
    if _tidies(tokenizer, backend):
        steps = [] if backend.decoder is None else [backend.decoder]
        tidying = [decoders.Replace(untidy, tidy) for untidy, tidy in TIDY.items()]
        backend.decoder = decoders.Sequence([*steps, decoders.Fuse(), *tidying])
    for text in SAMPLES:
        ids = tokenizer(text)["input_ids"]
        if backend.encode(text).ids != ids:
            raise _without(tokenizer, f" (it reads {text!r} in another way)")
        if writes_too:
            _check_writing(tokenizer, backend, ids)
    return backend


def fast_target_tokenizer(tokenizer: PreTrainedTokenizerBase) -> Tokenizer | None:
    """What writes the answers of a model whose targets have a vocabulary of their own; none of other models.

    Raises:
        UserError: there is none.
    """
    if not _has_targets(tokenizer):
        return None
    backend = _from_sentence_pieces(tokenizer, targets=True)
    for text in SAMPLES:
        _check_writing(tokenizer, backend, tokenizer(text_target=text)["input_ids"])
    return backend


def _has_targets(tokenizer: PreTrainedTokenizerBase) -> bool:
    return bool(getattr(tokenizer, "separate_vocabs", False))


def _check_writing(tokenizer: PreTrainedTokenizerBase, backend: Tokenizer, ids: list[int]) -> None:
    # Answers have no spaces around them, whatever a tokenizer makes of an unknown character at an end.
    expected = tokenizer.decode(ids, skip_special_tokens=True)
    if backend.decode(ids).strip() != expected.strip():
        raise _without(tokenizer, f" (it writes {expected!r} in another way)")


def _tidies(tokenizer: PreTrainedTokenizerBase, backend: Tokenizer) -> bool:
    """Whether it takes spaces before punctuation out of what it writes; transformers leaves byte pairs alone."""
    return bool(getattr(tokenizer, "clean_up_tokenization_spaces", False)) and not isinstance(backend.model, models.BPE)


def _from_sentence_pieces(tokenizer: PreTrainedTokenizerBase, targets: bool = False) -> Tokenizer:
    files = getattr(tokenizer, "spm_files", None)
    vocabulary = getattr(tokenizer, "target_encoder" if targets else "encoder", None)
    if not files or not vocabulary:
        raise _without(tokenizer)
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(Path(files[targets]).read_bytes())
    if model.trainer_spec.model_type != UNIGRAM:
        raise _without(tokenizer, ", whose sentence-piece model is no unigram model")
    kinds = model.SentencePiece
    scores = {piece.piece: piece.score for piece in model.pieces if piece.type in (kinds.NORMAL, kinds.USER_DEFINED)}
    pieces = sorted(vocabulary, key=lambda piece: vocabulary[piece])
    if [vocabulary[piece] for piece in pieces] != list(range(len(pieces))):
        raise _without(tokenizer, ", whose vocabulary has gaps")
    if alone := sorted(set(scores) - set(vocabulary)):
        raise _without(tokenizer, f", whose vocabulary lacks {len(alone)} of its pieces, such as {alone[0]!r}")
    # A single character that only the target language has is unknown to the model, but not to the vocabulary.
    worst = min(scores.values()) - UNKNOWN_PENALTY
    known = [(p, scores.get(p, worst)) if p in scores or len(p) == 1 else (HIDDEN + p, worst) for p in pieces]
    special = {*tokenizer.all_special_tokens, *getattr(tokenizer, "supported_language_codes", [])}
    known = [(p, worst) if p in special else entry for p, entry in zip(pieces, known, strict=True)]
    built = Tokenizer(models.Unigram(known, unk_id=vocabulary[tokenizer.unk_token]))
    rules: list[Any] = []
    if model.normalizer_spec.precompiled_charsmap:
        rules.append(normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap))
    if model.normalizer_spec.remove_extra_whitespaces:
        rules += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    built.normalizer = normalizers.Sequence(rules)
    built.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
    spaces = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    built.decoder = decoders.Sequence([decoders.Replace(HIDDEN, ""), spaces])
    built.post_processor = processors.TemplateProcessing(
        single=f"$A {tokenizer.eos_token}", special_tokens=[(tokenizer.eos_token, tokenizer.eos_token_id)]
    )
    codes = getattr(tokenizer, "supported_language_codes", [])
    built.add_special_tokens([AddedToken(token, normalized=False) for token in tokenizer.all_special_tokens])
    built.add_tokens([AddedToken(code, normalized=False) for code in codes])
    return built


def _without(tokenizer: PreTrainedTokenizerBase, why: str = "") -> UserError:
    return UserError(
        f"{type(tokenizer).__name__}{why}, which the tokenizers library cannot replace",
        "a tokenizer with a tokenizer.json, or sentence-piece's unigram model",
        "use the package with torch",
    )
