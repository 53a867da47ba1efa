"""An exported model that answers: texts in, texts or labels out, exactly as it was evaluated."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.config.errors import UserError
from pipeline.config.sections.task import DecodingConfig
from pipeline.data.limits import length_batches
from pipeline.runtime.check import check_parity, check_speed
from pipeline.runtime.manifest import TARGET_TOKENIZER, TOKENIZER, read_manifest
from pipeline.runtime.model import Model
from pipeline.runtime.processors import Rules
from pipeline.runtime.request import check_texts, check_too_long, requested_decoding, tell_too_long
from pipeline.runtime.search import greedy_steps, search
from pipeline.runtime.session import check_release
from pipeline.runtime.texts import TextTokenizer, Tokenised


class OnnxAnswerer:
    """An exported student, loaded. Threads may share it; they are answered one after the other.

    Args:
        folder: the exported model.
        num_threads: of one operator; none for as many cores as this process may use.
        spinning: threads wait for work in a loop: faster on an idle machine, much slower on a busy one.
        batch_tokens: most padded source tokens in a batch.
        too_long: a text that is too long is `cut`, with a warning that counts, or all texts are refused.
        check: test the model: stored inputs get the stored answers, low bits are no slower than fp32.

    Raises:
        UserError: no exported model, a damaged one, or one that this machine cannot run.
    """

    def __init__(
        self,
        folder: Path,
        *,
        num_threads: int | None = None,
        spinning: bool = False,
        batch_tokens: int = 8192,
        too_long: str = "cut",
        check: bool = True,
    ) -> None:
        check_too_long(too_long)
        self.info = read_manifest(folder)
        check_release(self.info.onnxruntime)
        self.labels, self.batch_tokens, self.too_long = self.info.labels, batch_tokens, too_long
        self.model = Model(folder, self.info, num_threads=num_threads, spinning=spinning)
        writes = folder / TARGET_TOKENIZER if (folder / TARGET_TOKENIZER).is_file() else None  # its digest is checked
        limit = self.info.max_source_tokens
        self.tokenizer = TextTokenizer(folder / TOKENIZER, self.info.source_prefix, limit, writes)
        self.lock = threading.Lock()
        if check:
            check_parity(self.model, folder, self.info.parity)
            check_speed(folder, num_threads)

    def answers(
        self,
        texts: Sequence[str],
        second: Sequence[str] | None = None,
        *,
        on_batch: Callable[[int], object] = lambda _: None,
        **overrides: Any,
    ) -> list[str]:
        """What the student says to every text: a generated text, or a classifier's label.

        An empty text is a text: the model decides.

        Args:
            texts: at least one.
            second: the other text of every pair, for a classifier of pairs.
            on_batch: told after each batch how many texts were answered in it.
            overrides: fields of `DecodingConfig` that differ from the model's decoding.

        Raises:
            UserError: not texts, too long ones where they are refused, or decoding settings that do not exist or that
                this model cannot follow.
        """
        decoding = self._decoding(overrides)
        check_texts(texts, second, self.labels)
        tokenised = self._tokenised(texts, second)
        batch_tokens = self._batch_tokens(decoding)
        answers = [""] * len(texts)
        for rows in length_batches([len(ids) for ids in tokenised.ids], batch_tokens):
            with self.lock:  # one batch after the other, so that threads share memory and cores
                said = self._batch(rows, tokenised, decoding)
            for row, answer in zip(rows, said, strict=True):
                answers[row] = answer
            on_batch(len(rows))
        return answers

    def stream(self, text: str, **overrides: Any) -> Iterator[str]:
        """The answer to one text piece by piece, as it is generated; joined, the pieces are the answer.

        Arguments and errors as of `answers`; the errors come at once, before the first piece is asked for.
        """
        return self.streams([text], **overrides)[0]

    def streams(self, texts: Sequence[str], **overrides: Any) -> list[Iterator[str]]:
        """A stream of every text, all of them checked before the first one begins; see `stream`."""
        decoding = self._decoding(overrides)
        if self.labels is not None:
            raise UserError("a stream of a classifier's label", "models that generate", "ask for answers")
        if decoding.num_beams > 1:
            raise UserError(
                f"a stream with num_beams={decoding.num_beams}: the best of several beams is known at the end",
                "num_beams=1",
                "set num_beams=1, or do not stream",
            )
        check_texts(texts, None, self.labels)
        return [self.tokenizer.pieces(self._tokens([ids], decoding)) for ids in self._tokenised(texts, None).ids]

    def generate_ids(self, sources: list[list[int]], decoding: DecodingConfig) -> list[list[int]]:
        """Generated tokens of one batch: the start token first, the end token last where it was said, no padding.

        Args:
            sources: token ids of every source.
            decoding: beams and lengths.
        """
        rules = Rules(decoding=decoding, tokens=self.info.tokens)
        return search(self.model, self.model.read(sources), len(sources), rules)

    def answer_batch(
        self, sources: list[list[int]], types: list[list[int]] | None, decoding: DecodingConfig
    ) -> list[str]:
        """What the student says to one batch of token ids.

        Args:
            sources: token ids of every source.
            types: which text of a pair every token belongs to, where a classifier is told.
            decoding: beams and lengths, of a model that generates.
        """
        if self.labels is None:
            return [self.tokenizer.text(ids) for ids in self.generate_ids(sources, decoding)]
        return [self.labels[choice] for choice in self.model.classify(sources, types).argmax(axis=-1).tolist()]

    def _batch(self, rows: list[int], tokenised: Tokenised, decoding: DecodingConfig) -> list[str]:
        types = None if tokenised.types is None else [tokenised.types[row] for row in rows]
        return self.answer_batch([tokenised.ids[row] for row in rows], types, decoding)

    def _tokens(self, source: list[list[int]], decoding: DecodingConfig) -> Iterator[int]:
        rules = Rules(decoding=decoding, tokens=self.info.tokens)
        with self.lock:
            steps = greedy_steps(self.model, self.model.read(source), 1, rules)
        while True:
            with self.lock:  # free between two tokens: whoever reads them may take their time
                step = next(steps, None)
            if step is None:
                return
            yield int(step[0])

    def _tokenised(self, texts: Sequence[str], second: Sequence[str] | None) -> Tokenised:
        tokenised = self.tokenizer.tokenise(texts, second)
        tell_too_long(tokenised.cut, self.info.max_source_tokens, self.too_long)
        return tokenised

    def _batch_tokens(self, decoding: DecodingConfig) -> int:
        # More beams than in the evaluation need no more memory: fewer texts at a time.
        usual = self.info.decoding.num_beams
        return self.batch_tokens * usual // max(usual, decoding.num_beams)

    def _decoding(self, overrides: dict[str, Any]) -> DecodingConfig:
        return requested_decoding(self.info.decoding, overrides, self.labels, self.info.max_positions)
