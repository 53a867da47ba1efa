"""Text files as people and programs write them: UTF-8, with or without a byte order mark, maybe packed."""

from __future__ import annotations

import codecs
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from pipeline.config.errors import UserError

PACKINGS = (".gz", ".xz")  # ends of names of files that are unpacked on the way
LINE_END = re.compile(rb"\r\n|\r|\n")  # what editors count


@contextmanager
def opened_text(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """A text file to be read while the block runs; what goes wrong in reading it is the user's to mend.

    Args:
        path: the file; one that ends in .gz or .xz is unpacked on the way.
        newline: as `open` takes it.

    Raises:
        UserError: the file cannot be opened or unpacked, or is no UTF-8.
    """
    try:
        with _opened(path) as file:
            try:
                yield io.TextIOWrapper(file, encoding="utf-8-sig", newline=newline)
            except UnicodeDecodeError:
                raise UserError(
                    f"data file {path}: line {_undecodable_line(path)} is not UTF-8",
                    "text in UTF-8",
                    f"save the file as UTF-8, {_conversion(path)}",
                ) from None
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"data file {path} cannot be read: {reason}", "a whole, readable file", "mend it") from error


def _opened(path: Path) -> BinaryIO:
    match path.suffix.lower():
        case ".gz":
            return cast(BinaryIO, gzip.open(path))
        case ".xz":
            return cast(BinaryIO, lzma.open(path))
    return path.open("rb")


def _conversion(path: Path) -> str:
    """How the file becomes UTF-8: only what begins with the mark of UTF-16 says what it is."""
    with _opened(path) as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "with iconv -f UTF-16 -t UTF-8"
    return "e.g., if it was written on Windows, with iconv -f WINDOWS-1252 -t UTF-8"


def _undecodable_line(path: Path) -> int:
    """The first line that is not UTF-8."""
    number = 1
    with _opened(path) as file:
        for line in file:
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return number + len(LINE_END.findall(line[: error.start]))
            number += len(LINE_END.findall(line))
    return number
