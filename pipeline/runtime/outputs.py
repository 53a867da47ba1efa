"""Answers to standard output, or to a file that is written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.runtime.inputs import Texts
from pipeline.storage.atomic import atomic_text


def write_answers(answers: Sequence[str], texts: Texts, *, output: Path | None = None, jsonl: bool = False) -> None:
    """One answer a line; as JSON lines with its text, or plain with line ends inside it as spaces.

    Args:
        answers: in the order of the texts.
        texts: as `read_texts` gave them.
        output: a file that is written whole or not at all; none writes to standard output.
        jsonl: `{"text": ..., "answer": ...}`, with `text_pair` where there was one.

    Raises:
        UserError: it cannot be written.
        BrokenPipeError: nobody reads on.
    """
    lines = _as_json(answers, texts) if jsonl else (one_line(answer) for answer in answers)
    content = "".join(f"{line}\n" for line in lines)
    if output is None:
        _say(content)
        return
    try:
        atomic_text(output.resolve(), content)  # through a link, not over it
    except OSError as error:
        raise _cannot_write(output, error) from error


def write_streams(streams: Iterable[Iterable[str]]) -> None:
    """Pieces of answers to standard output as they come, an answer a line: line ends inside it become spaces.

    Raises:
        UserError: they cannot be written.
        BrokenPipeError: nobody reads on.
    """
    for pieces in streams:
        for piece in pieces:
            _say("".join(sign if sign.splitlines() == [sign] else " " for sign in piece))
        _say("\n")


def check_output(output: Path) -> None:
    """Check that a file can be written there, before the work that ends in it.

    Raises:
        UserError: it cannot.
    """
    try:
        if output.is_dir():
            raise UserError(f"{output} is a folder", "a file", "name a file in it")
        if not output.absolute().parent.is_dir():
            raise UserError(f"no folder {output.parent}", "a file in an existing folder", "make the folder first")
        if output.exists() and not output.is_file():  # a device or a pipe, which a file would replace
            raise UserError(
                f"{output} is no file", "a new or an ordinary file", "leave it out, and redirect the output"
            )
        with tempfile.NamedTemporaryFile(dir=output.resolve().parent, prefix=f".{output.name}."):
            pass
    except OSError as error:
        raise _cannot_write(output, error) from error


def one_line(text: str) -> str:
    """A text with its line ends as spaces."""
    return " ".join(text.splitlines())


def silence() -> None:
    """Let standard output swallow what is left: Python flushes it once more when it ends, and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "is closed")
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if sys.stdout is not None:
            silence()
        raise UserError(
            f"standard output: {error.strerror}", "a place that can be written to", "make room, or write to a file"
        ) from error


def _as_json(answers: Sequence[str], texts: Texts) -> Iterable[str]:
    for index, answer in enumerate(answers):
        entry = {"text": texts.first[index]}
        if texts.second is not None:
            entry["text_pair"] = texts.second[index]
        yield json.dumps({**entry, "answer": answer}, ensure_ascii=False)


def _cannot_write(output: Path, error: OSError) -> UserError:
    return UserError(f"{output}: {error.strerror}", "a file that can be written", "name another file")
