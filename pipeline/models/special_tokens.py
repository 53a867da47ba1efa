"""The tokens that a model knows by number, whatever its configuration names and leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.config.errors import UserError
from pipeline.models.families import family_of

if TYPE_CHECKING:
    from transformers import GenerationConfig, PretrainedConfig


@dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """The special tokens that a configuration names; what it does not name is none.

    Args:
        pad: fills short rows of a batch.
        ends: each of them ends a text; where one must be chosen, it is the first.
        start: what a decoder starts with.
        first: what it says first, whatever it would choose (mBART-50's language code).
        bos: what some tokenizers put first.
    """

    pad: int | None
    ends: tuple[int, ...]
    start: int | None
    first: int | None
    bos: int | None

    @property
    def suppressed(self) -> list[int]:
        """Tokens that are never generated: a padding token that starts the decoding (Marian, T5) was never a target.

        It was one where it is the end, too, as in tokenizers that got their padding afterwards.
        """
        if self.start is None or self.start != self.pad or self.start in self.ends:
            return []
        return [self.start]

    @property
    def named(self) -> dict[str, list[int]]:
        """The tokens by the names of the settings that name them."""
        settings = {
            "pad_token_id": self.pad,
            "decoder_start_token_id": self.start,
            "first_target_token_id": self.first,
        }
        found = {name: [token] for name, token in settings.items() if token is not None}
        return found | ({"eos_token_id": list(self.ends)} if self.ends else {})


def special_tokens(model_config: PretrainedConfig | GenerationConfig) -> SpecialTokens:
    """The special tokens of a model's configuration, or of its settings of generation.

    It may name any of them or none; an end may be a list of them.
    """
    ends = getattr(model_config, "eos_token_id", None)
    return SpecialTokens(
        pad=getattr(model_config, "pad_token_id", None),
        ends=() if ends is None else tuple(dict.fromkeys(ends)) if isinstance(ends, list | tuple) else (int(ends),),
        start=getattr(model_config, "decoder_start_token_id", None),
        first=getattr(model_config, "first_target_token_id", None),
        bos=getattr(model_config, "bos_token_id", None),
    )


def check_numbers(model_config: PretrainedConfig, name: str) -> None:
    """Refuse special tokens that have no vector, before a model of the configuration is built.

    Args:
        model_config: the configuration.
        name: of the model, for messages.

    Raises:
        UserError: a number outside the vocabulary; of two vocabularies, outside the smaller one.
    """
    size = model_config.vocab_size
    if not family_of(model_config).has_one_vocabulary(model_config):
        size = min(size, model_config.decoder_vocab_size)
    for setting, numbers in special_tokens(model_config).named.items():
        if outside := [token for token in numbers if type(token) is not int or not 0 <= token < size]:
            raise UserError(
                f"{setting} is {outside[0]} in the configuration of '{name}', which has {size} tokens",
                f"the number of a token below {size}",
                f"correct {setting} in config.json",
            )
