"""The graphs of an exported model as a classifier, or as an encoder and a decoder that remembers what it said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.errors import UserError
from pipeline.runtime.batches import Ids, mask_of, padded
from pipeline.runtime.manifest import DECODER, ENCODER, ExportInfo, TokenIds
from pipeline.runtime.processors import Scores
from pipeline.runtime.session import Array, Graph, value_of

CROSS, SELF, NEXT, GROWING = "cross_", "self_", "next_", "past"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a decoder remembers of one batch: OrtValues by the names of its inputs."""

    source: dict[str, Any]  # the encoder's output and the mask
    history: dict[str, Any]  # the growing ones


class Model:
    """The graphs of an exported folder, open.

    Args:
        folder: the exported model.
        info: its manifest.
        num_threads: of one operator; none for as many as this process may use.
        spinning: threads wait for work in a loop.

    Raises:
        UserError: a graph cannot be opened, or is none of ours.
    """

    def __init__(self, folder: Path, info: ExportInfo, *, num_threads: int | None, spinning: bool) -> None:
        self.pad = info.tokens.pad
        settings: dict[str, Any] = {"num_threads": num_threads, "spinning": spinning}
        self.encoder = Graph(folder / ENCODER, **settings)
        self.encoder.expect({"input_ids"}, {"logits"} if info.labels is not None else set())
        self.decoder: Graph | None = None
        if info.labels is not None and (width := self.encoder.width("logits")) != len(info.labels):
            raise UserError(
                f"{len(info.labels)} labels for {width} logits", "a label for each", "export the model again"
            )
        if info.labels is None:
            self.decoder = Graph(folder / DECODER, **settings)
            cross = {name for name in self.encoder.outputs if name.startswith(CROSS)}
            self._growing = [name for name in self.decoder.inputs if name.startswith(SELF)]
            self.decoder.expect({"input_ids", *cross}, {"logits", *(NEXT + name for name in self._growing)})
            if unknown := sorted(set(self.decoder.inputs) - {"input_ids", "attention_mask", *cross, *self._growing}):
                raise UserError(
                    f"{folder / DECODER} asks for {unknown[0]}",
                    "a graph that this version has exported",
                    "export the model again",
                )
            _check_tokens(info.tokens, self.decoder.width("logits"))

    def classify(self, sources: list[list[int]], types: list[list[int]] | None = None) -> Scores:
        """Logits (rows, labels) of a batch; `types` as the tokenizer gives them for pairs."""
        logits: Scores = self.encoder(self._inputs(sources, types))["logits"].numpy()
        return logits

    def read(self, sources: list[list[int]]) -> Memory:
        """What the decoder needs of a batch of sources before it says anything."""
        inputs = self._inputs(sources, None)
        encoded = {name: value for name, value in self.encoder(inputs).items() if name.startswith(CROSS)}
        return Memory(
            source={"attention_mask": inputs["attention_mask"], **encoded}, history=self._empty_history(len(sources))
        )

    def step(self, state: Memory, tokens: Ids) -> tuple[Scores, Memory]:
        """Logits (rows, vocabulary) of what follows `tokens` (rows,), and the longer memory."""
        assert self.decoder is not None, "a classifier has no decoder"
        values = self.decoder({"input_ids": value_of(tokens[:, None]), **state.source, **state.history})
        history = {name: values[NEXT + name] for name in self._growing}
        logits: Scores = values["logits"].numpy()  # its own memory, and nobody else's
        return logits, replace(state, history=history)

    def repeat(self, state: Memory, num_beams: int) -> Memory:
        """Every row `num_beams` times, before the first step."""
        source = {name: value_of(np.repeat(value.numpy(), num_beams, axis=0)) for name, value in state.source.items()}
        return Memory(source=source, history=self._empty_history(source["attention_mask"].shape()[0]))

    def reorder(self, state: Memory, rows: Ids) -> Memory:
        """Row i becomes what row `rows[i]` was; sources stay, because beams change places within their source."""
        if np.array_equal(rows, np.arange(len(rows))):
            return state
        history = {name: value_of(np.take(value.numpy(), rows, axis=0)) for name, value in state.history.items()}
        return replace(state, history=history)

    def forced_logits(self, sources: list[list[int]], decoder_ids: Ids) -> Scores:
        """Logits (rows, steps, vocabulary) where the decoder is told `decoder_ids` (rows, steps), one by one."""
        state, steps = self.read(sources), []
        for column in decoder_ids.T:
            logits, state = self.step(state, column)
            steps.append(logits)
        return np.stack(steps, axis=1)

    def _empty_history(self, num_rows: int) -> dict[str, Any]:
        assert self.decoder is not None, "a classifier has no decoder"
        return {name: self.decoder.empty(name, num_rows, GROWING) for name in self._growing}

    def _inputs(self, sources: list[list[int]], types: list[list[int]] | None) -> dict[str, Any]:
        ids = padded(sources, self.pad)
        kinds = np.zeros_like(ids) if types is None else padded(types, 0)
        arrays: dict[str, Array] = {
            "input_ids": ids, "attention_mask": mask_of(sources), "token_type_ids": kinds,
        }  # fmt: skip
        return {name: value_of(array) for name, array in arrays.items()}


def _check_tokens(tokens: TokenIds, vocab_size: int) -> None:
    """Refuse tokens that a decoder neither reads nor writes; padding is one of the encoder's."""
    named = [tokens.eos, tokens.decoder_start, tokens.forced_first, *tokens.more_ends, *tokens.suppressed]
    if beyond := [token for token in named if token is not None and not 0 <= token < vocab_size]:
        raise UserError(f"token {beyond[0]} of {vocab_size}", f"below {vocab_size}", "export the model again")
