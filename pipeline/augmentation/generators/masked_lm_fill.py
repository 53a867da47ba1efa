"""A masked language model puts words in the places of masks: drawn at a temperature, each text by a seed of its own.

A mask is filled in one of two passes: what is filled in the second sees what was put there in the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.augmentation.generators.masked_text import MaskedText, Vocabulary
from pipeline.config.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PASSES = 2


class MaskedLMFill:
    """See `span_refill.Fill`.

    The same texts and seeds are filled equally, in whatever order they are asked for; among other texts the last bits
    of the logits may differ, as those of other batches do.

    Args:
        model: a masked language model in evaluation mode.
        tokenizer: its tokenizer.
        max_tokens: most that it reads, special tokens included; longer texts are read in pieces.
        temperature: of the draw: below 1 likely words are even likelier.
        top_k: only so many of the likeliest are drawn from.
        batch_tokens: most padded tokens in a batch.

    Raises:
        UserError: the tokenizer has no mask token, or tokens that the model does not know; a temperature of 0; no room
            for a single token of a text.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_tokens: int,
        temperature: float = 1.0,
        top_k: int = 50,
        batch_tokens: int = 2048,
    ) -> None:
        _check(model, tokenizer, temperature)
        self._model, self._tokenizer, self._vocabulary = model, tokenizer, Vocabulary.of(tokenizer)
        self._temperature, self._top_k, self._batch_tokens = temperature, top_k, batch_tokens
        self._prefix, self._suffix = _frame(tokenizer)
        num_special = len(self._prefix) + len(self._suffix)
        self._num_inner = max_tokens - num_special
        if self._num_inner < 1:
            raise UserError(f"{max_tokens} tokens at once", f"{num_special + 1} or more", "max_tokens")

    @property
    def mask(self) -> str:
        """See `span_refill.Fill`."""
        return str(self._tokenizer.mask_token)

    def __call__(self, texts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """See `span_refill.Fill`."""
        masked = [MaskedText(text, seed, self._tokenizer) for text, seed in zip(texts, seeds, strict=True)]
        for first in range(PASSES):
            windows = [window for text in masked for window in self._windows(text, first)]
            for batch in self._batches(windows):
                self._fill(batch)
        return [text.filled(self._vocabulary) for text in masked]

    def _windows(self, text: MaskedText, first: int) -> Iterator[_Window]:
        """The pieces of a text in which masks are filled in a pass."""
        for start in range(0, len(text.ids), self._num_inner):
            places = range(start, start + self._num_inner)
            due = [number for number in range(first, len(text.places), PASSES) if text.places[number] in places]
            if due:
                ids = (*self._prefix, *text.ids[start : places.stop], *self._suffix)
                yield _Window(text=text, due=due, ids=ids, offset=len(self._prefix) - start)

    def _batches(self, windows: list[_Window]) -> Iterator[list[_Window]]:
        """Windows of similar lengths; which lie together depends on what they are, not on their order."""
        batch: list[_Window] = []
        for window in sorted(windows, key=lambda one: (len(one.ids), one.ids, one.text.seed)):
            if batch and (len(batch) + 1) * len(window.ids) > self._batch_tokens:
                yield batch
                batch = []
            batch.append(window)
        if batch:
            yield batch

    @torch.inference_mode()
    def _fill(self, batch: list[_Window]) -> None:
        """Put a token in every place that is due."""
        length, pad = max(len(window.ids) for window in batch), self._tokenizer.pad_token_id or 0
        ids = torch.tensor([[*window.ids, *[pad] * (length - len(window.ids))] for window in batch])
        seen = torch.tensor([[1] * len(window.ids) + [0] * (length - len(window.ids)) for window in batch])
        device = self._model.device
        logits = self._model(input_ids=ids.to(device), attention_mask=seen.to(device)).logits
        for window, row in zip(batch, logits, strict=True):
            text, places = window.text, [window.text.places[number] + window.offset for number in window.due]
            for number, scores in zip(window.due, row[places].float().cpu(), strict=True):
                text.put(number, self._draw(scores, text.allowed(number, self._vocabulary), text.random))

    def _draw(self, logits: Tensor, allowed: Tensor, random: torch.Generator) -> int:
        scores = logits[: len(allowed)].double().masked_fill(~allowed, -torch.inf)
        likeliest = scores.topk(min(self._top_k, int(allowed.sum())))
        probabilities = (likeliest.values / self._temperature).softmax(0)
        return int(likeliest.indices[torch.multinomial(probabilities, 1, generator=random)])


@dataclass(frozen=True, kw_only=True)
class _Window:
    """A piece of a text that a model reads at once.

    Args:
        text: the whole.
        due: numbers of the masks that are filled now.
        ids: its tokens, framed.
        offset: from a place in the text to that in `ids`.
    """

    text: MaskedText
    due: list[int]
    ids: tuple[int, ...]
    offset: int


def _check(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, temperature: float) -> None:
    if tokenizer.mask_token_id is None:
        raise UserError(
            "the tokenizer of the masked language model has no mask token",
            "a model that was trained to fill masks, with its own tokenizer",
            "the model that refills texts",
        )
    if (num_known := model.config.vocab_size) < len(tokenizer):
        raise UserError(
            f"the masked language model knows {num_known} tokens and its tokenizer {len(tokenizer)}",
            "a model with its own tokenizer",
            "the tokenizer or the model that refills texts",
        )
    if not temperature > 0:
        raise UserError(f"a temperature of {temperature}", "more than 0", "the temperature of the draw")


def _frame(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The tokens that a tokenizer puts before and behind a text."""
    bare = tokenizer(tokenizer.mask_token, add_special_tokens=False).input_ids
    framed = tokenizer(tokenizer.mask_token).input_ids
    starts = range(len(framed) - len(bare) + 1)
    start = next(start for start in starts if framed[start : start + len(bare)] == bare)
    return framed[:start], framed[start + len(bare) :]
