"""Whether a tokenizer and a model belong together: found out before any worker starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.config.errors import UserError
from pipeline.config.sections.model import ModelConfig
from pipeline.config.sections.task import TaskConfig
from pipeline.data.ends import with_ends
from pipeline.data.languages import set_languages
from pipeline.models.families import family_named, family_of
from pipeline.models.load import family_name, teacher_config
from pipeline.models.special_tokens import check_numbers, special_tokens

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

OTHER_TOKENIZER = "set model.tokenizer to the tokenizer that the model was trained with"


def fit(model: ModelConfig, tokenizer: PreTrainedTokenizerBase, task: TaskConfig) -> list[str]:
    """Check a model's tokenizer and let it end texts as the model does.

    Args:
        model: where the model comes from.
        tokenizer: the model's; changed in place where it ends no texts.
        task: its languages decide with which token decoding starts, its noise whether a mask token is needed.

    Returns:
        What has been changed, for people.

    Raises:
        UserError: special tokens that are missing, differ or lie outside the vocabulary, too many tokens.
    """
    name = model.tokenizer or model.pretrained
    generates = family_named(family_name(model)).decoder is not None
    for setting in ("pad_token", "eos_token") if generates and not model.pretrained else ("pad_token",):
        if getattr(tokenizer, f"{setting}_id", None) is None:
            raise UserError(
                f"the tokenizer of '{name}' has no {setting}",
                "a tokenizer that knows which token fills short rows"
                if setting == "pad_token"
                else "a tokenizer that knows which token ends a text",
                f"name one of its tokens as {setting} in tokenizer_config.json, or {OTHER_TOKENIZER}",
            )
    if task.noise is not None and tokenizer.mask_token_id is None:
        raise UserError(
            f"task.objective={task.objective} with a tokenizer that has no mask token",
            "a tokenizer with one",
            "set model.tokenizer, or leave model.pretrained empty to train one",
        )
    model_config = teacher_config(model, tokenizer, task)
    check_fit(model_config, tokenizer, str(model.pretrained or name))
    if not generates:
        return []
    set_languages(tokenizer, task)
    ends = special_tokens(model_config).ends
    if not with_ends(tokenizer, ends):
        return []
    end = tokenizer.convert_ids_to_tokens(ends[0])
    return [f"the tokenizer writes no end token: {end} is appended to every source and target"]


def check_fit(model_config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Refuse a tokenizer that numbers tokens in another way than a model's configuration.

    Args:
        model_config: the configuration, completed by `teacher_config`.
        tokenizer: its tokenizer.
        name: of the model, for messages.

    Raises:
        UserError: as said.
    """
    family, tokens = family_of(model_config), special_tokens(model_config)
    for side, (rows, size) in _check_vocabularies(model_config, tokenizer, name).items():
        if size > rows:
            raise UserError(
                f"'{name}' has {rows} embeddings for a tokenizer of {size} tokens{side}",
                "a tokenizer that fits the model",
                OTHER_TOKENIZER,
            )
    pairs = [("pad_token_id", [] if tokens.pad is None else [tokens.pad], tokenizer.pad_token_id)]
    if family.decoder is not None:
        pairs.append(("eos_token_id", list(tokens.ends), tokenizer.eos_token_id))
    for setting, known, other in pairs:
        if other is not None and known and other not in known:
            raise UserError(
                f"{setting} is {_shown(known)} in the configuration of '{name}' and {other} in its tokenizer",
                "one number for both",
                f"{OTHER_TOKENIZER}, or correct {setting} in config.json if that is what is wrong",
            )
    needed = {"pad_token_id": tokens.pad is not None}
    if family.decoder is not None:
        needed |= {"eos_token_id": bool(tokens.ends), "decoder_start_token_id": tokens.start is not None}
    if lacking := [setting for setting, is_there in needed.items() if not is_there]:
        languages = family.decoder is not None and family.start is None
        remedy = "set task.source_language and task.target_language, or " if languages else ""
        raise UserError(
            f"neither configuration nor tokenizer of '{name}' says what {lacking[0]} is",
            f"the number of a token below {model_config.vocab_size}",
            f"{remedy}write {lacking[0]} into config.json as the model was trained",
        )
    check_numbers(model_config, name)


def _check_vocabularies(
    model_config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, name: str
) -> dict[str, tuple[int, int]]:
    """Which words have a table of their own -> (rows of the table, tokens of the tokenizer).

    Marian's models may have one vocabulary for sources and another for targets, whose special tokens are the same.
    """
    targets: dict[str, int] = tokenizer.target_encoder if getattr(tokenizer, "separate_vocabs", False) else {}
    if family_of(model_config).has_one_vocabulary(model_config):
        rows = {"": (model_config.vocab_size, _size(tokenizer))}
        same_number = not targets
    else:
        target_size = 1 + max(targets.values()) if targets else _size(tokenizer)
        rows = {" of sources": (model_config.vocab_size, _size(tokenizer))}
        rows |= {" of targets": (model_config.decoder_vocab_size, target_size)}
        same_number = bool(targets) or model_config.decoder_vocab_size == model_config.vocab_size
    if not same_number:
        raise UserError(
            f"'{name}' and its tokenizer do not both have a vocabulary for sources and another for targets",
            "two vocabularies in both, or one in both",
            OTHER_TOKENIZER,
        )
    for token in (tokenizer.pad_token, tokenizer.eos_token) if targets else ():
        if targets.get(token) != tokenizer.encoder.get(token):
            raise UserError(
                f"{token} is {tokenizer.encoder.get(token)} in sources and {targets.get(token)} in targets of '{name}'",
                "one number for both",
                f"use a model whose vocabularies agree in their special tokens, or {OTHER_TOKENIZER}",
            )
    return rows


def _size(tokenizer: PreTrainedTokenizerBase) -> int:
    """One more than the largest number of a token; a vocabulary may have gaps."""
    return max(len(tokenizer), 1 + max(tokenizer.get_vocab().values(), default=-1))


def _shown(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
