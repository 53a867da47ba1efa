"""Texts from an argument, a file or standard input."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.config.errors import UserError

# A word without spaces that ends or is divided like a path is a path: a mistyped file is not answered as a text.
LIKE_A_PATH = re.compile(r"\S*\.(txt|text|jsonl|json|csv|tsv|md|src|source)|\S*/\S*")


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Texts to be answered.

    Args:
        origin: `text` (an argument), `file` or `stdin`.
        first: the texts.
        second: the other text of every pair, if they are pairs.
    """

    origin: str
    first: list[str]
    second: list[str] | None = None


def read_texts(source: str | None) -> Texts:
    """Texts from a text itself, from a file, or, without a source or with `-`, from standard input.

    A file has one text a line, an empty line is an empty text; a `.jsonl` file has an object a line, `{"text": ...}` or
    `{"text": ..., "text_pair": ...}`.

    Raises:
        UserError: no such file, a folder, not UTF-8, no text in it, a line that is no such object.
    """
    if source is None or source == "-":
        if sys.stdin is None:
            raise UserError("standard input is closed", "a text, a file, or an open one", "name a text or a file")
        return Texts(origin="stdin", first=_lines(sys.stdin.buffer.read(), "standard input"))
    path = Path(source)
    if not source or not _exists(path):
        if LIKE_A_PATH.fullmatch(source):
            raise UserError(
                f"no file {source}", "an existing file, or a text", "check the path, or send the text with -"
            )
        return Texts(origin="text", first=[source])
    try:
        content = path.read_bytes()
    except IsADirectoryError:
        raise UserError(f"{source} is a folder", "a file with one text a line", "name a file") from None
    except OSError as error:
        raise UserError(f"{source}: {error.strerror}", "a readable file", "check its permissions") from error
    lines = _lines(content, source)
    if path.suffix.lower() != ".jsonl":
        return Texts(origin="file", first=lines)
    return _objects(lines, source)


def with_second(texts: Texts, second: str | None) -> Texts:
    """One text made a pair by the other text of it; unchanged without one.

    Raises:
        UserError: several texts, or a pair already.
    """
    if second is None:
        return texts
    if len(texts.first) != 1 or texts.second is not None:
        raise UserError(
            f"a second text for {len(texts.first)} texts", "one text", 'put pairs into a .jsonl file with "text_pair"'
        )
    return replace(texts, second=[second])


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a text longer than any name
        return False


def _lines(content: bytes, source: str) -> list[str]:
    """The lines of a UTF-8 file; only line feeds end them, as other tools count lines."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(
            f"{source} is not UTF-8: byte {content[error.start]:#04x} in line {line}",
            "UTF-8 text",
            "convert it, e.g. iconv -f latin1 -t utf-8",
        ) from None
    if not text:
        raise UserError(f"{source} is empty", "one text a line", "put a text in it")
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _objects(lines: list[str], source: str) -> Texts:
    first, second = [], []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:  # a number of too many digits is a ValueError, too
            raise _no_object(source, number, str(error)) from None
        if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
            raise _no_object(source, number, 'no "text", or not a string')
        first.append(entry["text"])
        if "text_pair" in entry:
            if not isinstance(entry["text_pair"], str):
                raise _no_object(source, number, '"text_pair" is not a string')
            second.append(entry["text_pair"])
        if second and len(second) != len(first):
            raise _no_object(source, number, '"text_pair" in some lines and not in others')
    return Texts(origin="file", first=first, second=second or None)


def _no_object(source: str, number: int, why: str) -> UserError:
    allowed = '{"text": "..."} or {"text": "...", "text_pair": "..."} in every line'
    return UserError(f"{source}, line {number}: {why}", allowed, "correct the line")
